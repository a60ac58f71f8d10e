"""Plans of runs by several ranks."""

from dataclasses import replace

import pytest

from kdbench.errors import BadValue
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.plan.ranks import check_steps
from kdbench.runs.crew import check_number
from kdbench.store.paths import Paths
from kdbench.store.record import write_record
from kdbench.store.teacher_runs import ranks_of, speed_up
from kdbench.workflow.estimate import Machine
from kdbench.workflow.requests import Requests
from kdbench.workflow.scaling import with_efficiency
from kdbench.workflow.snakemake import Workflow

METHODS = ["none", "kd", "distpro"]  # table 1 has L2T-ww too
TABLE = {
    "scale": "paper",
    "exhibits": ["distpro/table1"],
    "pairs": ["resnet56:resnet20"],
    "methods_only": METHODS,
}


def plan(**scale):
    """The runs of a table, with settings of the scale."""
    return list(make_graph(Params(**TABLE, scales={"paper": scale})).runs.values())


def phase(runs, name):
    """The first run of a phase."""
    return next(run for run in runs if run.phase == name)


def test_one_rank_changes_no_digest():
    """Neither does a setting that means something for several alone."""
    digests = [run.digest for run in plan()]

    assert [run.digest for run in plan(ranks=1)] == digests
    assert [run.digest for run in plan(ranks=1, synchronise_norms=True)] == digests


def test_trainings_and_searches_are_planned_for_the_ranks():
    """With digests of their own, per kind of norm too; what only measures is one process's."""
    plain, apart, whole = plan(), plan(ranks=4), plan(ranks=4, synchronise_norms=True)

    assert [ranks_of(phase(apart, name)) for name in ("data", "evaluation")] == [1, 1]
    for name in ("teacher", "search", "student"):
        runs = [phase(runs, name) for runs in (plain, apart, whole)]
        assert [ranks_of(run) for run in runs] == [1, 4, 4]
        assert len({run.digest for run in runs}) == 3
        assert runs[1].as_dict()["params"]["ranks"] == 4
        assert [speed_up(run, 0.9) for run in runs] == [1, 3.6, 3.6]


def test_one_pair_s_runs_have_their_own_number_by_phase():
    """All others keep the scale's and their digests; a network's key is what no teacher teaches."""
    pairs = {"pairs": ["resnet56:resnet20", "resnet110:resnet32"]}
    own = {
        "cifar100/resnet56": {"teacher": 8},
        "cifar100/resnet56:resnet20": {"search": 4, "student": 2},
        "cifar100/resnet32": {"student": 16},
    }
    usual, given = (
        {(run.phase, run.cell): run for run in make_graph(Params(**table)).runs.values()}
        for table in (TABLE | pairs, TABLE | pairs | {"ranks": own})
    )

    several = {place: ranks_of(run) for place, run in given.items() if ranks_of(run) > 1}
    assert several == {
        ("teacher", "resnet56"): 8,
        ("search", "resnet56_resnet20_distpro"): 4,
        **{("student", f"resnet56_resnet20_kd_s{seed}"): 2 for seed in range(5)},
        **{("student", f"resnet56_resnet20_distpro_s{seed}"): 2 for seed in range(5)},
        **{("student", f"resnet32_none_s{seed}"): 16 for seed in range(5)},
    }
    same = {place for place, run in given.items() if run.digest == usual[place].digest}
    assert ("teacher", "resnet110") in same and ("student", "resnet20_none_s0") in same
    assert not same & several.keys()


def test_stand_ins_take_no_number_of_a_pair():
    """A plan of digits is the same with and without."""
    table = TABLE | {"scale": "smoke"}
    own = {"cifar100/resnet56:resnet20": {"student": 2}}
    assert (
        make_graph(Params(**table, ranks=own)).runs.keys()
        == make_graph(Params(**table)).runs.keys()
    )


def test_an_exhibit_s_own_ranks_go_before_a_pair_s():
    """`ours/ranks` compares one process with two, and names tell which is not the pair's."""
    own = {"imagenet/resnet34:resnet18": {"student": 2}}
    table = {"scale": "paper", "exhibits": ["ours/ranks"], "ranks": own}
    one, two = make_graph(Params(**table)).drawn["ours/ranks"].values()

    assert (ranks_of(one.first), ranks_of(two.first)) == (1, 2)
    assert "ranks-1" in one.cell and "ranks" not in two.cell


@pytest.mark.parametrize("ranks", [3, 128, 256])
def test_ranks_that_have_no_equal_parts_are_refused_when_the_plan_is_made(ranks):
    """A batch of 128 images: in one line, with the setting."""
    with pytest.raises(
        BadValue, match=f"scales.paper.ranks or ranks: found {ranks}, expected a divisor"
    ):
        plan(ranks=ranks)


@pytest.mark.parametrize(
    ("setting", "value"), [("ranks", 2), ("images_at_once", 32)], ids=["ranks", "parts"]
)
def test_a_method_that_learns_beside_the_training_is_refused_when_the_plan_is_made(setting, value):
    """In one line, with the setting and the way round it; on one rank it is planned."""
    table = Params(**TABLE | {"methods_only": ["l2t_ww"]}, scales={"paper": {setting: value}})
    line = rf"params.yaml, scales.paper.{setting}.*: found {value}, expected .* for l2t_ww, whose "
    with pytest.raises(BadValue, match=f"{line}own steps .* other methods by methods_only"):
        make_graph(table)

    assert phase(make_graph(table.model_copy(update={"scales": {}})).runs.values(), "student")


def test_its_own_steps_are_sgd_s():
    """Another optimiser in its protocol is refused when the plan is made."""
    table = make_graph(Params(**TABLE | {"methods_only": ["l2t_ww"]}))
    run = phase(table.runs.values(), "student")
    method = table.components.get("method", "l2t_ww", where="test")
    check_steps(run, [method])
    with pytest.raises(BadValue, match="optimiser: found 'adamw', expected 'sgd' for l2t_ww"):
        check_steps(replace(run, recipe=replace(run.recipe, optimiser="adamw")), [method])


def test_another_number_of_ranks_than_planned_is_noted_or_refused():
    """Where only rounding differs, or the run was begun, the record says it."""
    one, apart, whole = (
        phase(runs, "student")
        for runs in (plan(), plan(ranks=4), plan(ranks=4, synchronise_norms=True))
    )

    assert check_number(one, 1, resumed=False) == check_number(apart, 4, resumed=False) == ""
    assert "made by 2" in check_number(whole, 2, resumed=False)
    assert "made by 2" in check_number(apart, 2, resumed=True)
    with pytest.raises(BadValue, match="torchrun --standalone --nproc-per-node 4"):
        check_number(apart, 1, resumed=False)
    with pytest.raises(BadValue, match=r"scales: \{paper: \{ranks: 2\}\}"):
        check_number(one, 2, resumed=True)


@pytest.mark.parametrize(("ranks", "launcher"), [(1, ""), (4, "torchrun --standalone ")])
def test_jobs_ask_for_a_gpu_and_the_threads_of_every_rank(tmp_path, ranks, launcher):
    """On a cluster; runs of several ranks are started by torchrun."""
    (tmp_path / "params.yaml").touch()
    config = {**TABLE, "scales": {"paper": {"ranks": ranks, "threads": 2}}}
    workflow = Workflow(config, tmp_path, lambda: False)
    job = phase(workflow.graph.runs.values(), "student")
    measuring = phase(workflow.graph.runs.values(), "evaluation")

    assert workflow.gpus(job) == ranks
    assert workflow.threads(job) == 2 * ranks
    assert workflow.launcher(job).startswith(launcher)
    assert workflow.launcher(measuring) == ""
    assert workflow.gpus(measuring) == 1


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Smoke's pair of ImageNet, once in one process and once shared by two."""
    root = tmp_path_factory.mktemp("shared")
    (root / "params.yaml").touch()
    return Workflow({"exhibits": ["ours/ranks", "distpro/table4"], "datasets": ["imagenet"]}, root)


def test_smoke_shares_a_student_of_imagenet_by_two_processes(shared):
    """Its job has no other cells; the student of one process is the one of DistPro's table 4."""
    one, two = shared.graph.drawn["ours/ranks"].values()
    groups = [shared.job_groups.of(run) for run in (one, two)]
    cells = shared.graph.cells["distpro/table4"]
    table = {cell.evaluation.digest for cell in cells if cell.evaluation}

    assert one.digest in table and two.digest not in table
    assert (one.first.cell, two.first.cell) == (
        "resnet34_resnet18_reviewkd_imagenet_s0",
        "resnet34_resnet18_reviewkd_imagenet-ranks-2_s0",
    )
    assert groups[1] == [two]
    assert (shared.threads(two), shared.gpus(two)) == (2, 0)
    assert "--nproc-per-node 2 " in shared.launcher(two)


@pytest.mark.parametrize(("gpus", "processes"), [("", 2), ("0", 1), ("0,1", 2)])
def test_fewer_gpus_than_ranks_make_runs_of_synchronised_norms(
    shared, monkeypatch, gpus, processes
):
    """In fewer processes, which compute the same: ranks share no GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    requests = Requests(shared.graph.params, lambda: True)

    assert requests.processes([shared.graph.drawn["ours/ranks"]["2 ranks"]]) == 1
    assert requests.processes(shared.graph.drawn["ours/ranks"]["2 ranks"].runs) == processes
    assert requests.processes([phase(plan(ranks=4), "student")]) == 4


def test_estimates_use_a_stated_a_measured_or_a_declared_efficiency(tmp_path):
    """In this order, and say which; a plan of single ranks says nothing."""
    runs, paths, machine = plan(ranks=4), Paths(tmp_path), Machine("cuda", 4)
    declared, (line,) = with_efficiency(machine, runs, paths, None)
    assert declared.efficiency == 0.8 and "declared" in line
    write_record(paths.record(phase(runs, "teacher")), {"cost": {"scaling_efficiency": 0.5}})

    assert with_efficiency(machine, runs, paths, None)[0].efficiency == 0.5
    assert with_efficiency(machine, runs, paths, 0.9)[0].efficiency == 0.9
    assert with_efficiency(machine, plan(), paths, 0.9) == (machine, [])


def test_a_run_holds_a_gpu_for_every_rank_in_an_estimate():
    """Or the threads of all; a machine of too few GPUs is refused."""
    run = phase(plan(ranks=4, threads=2), "student")

    assert Machine("cuda", 8).held_by(run) == 4
    assert Machine("cpu", 8).held_by(run) == 8
    with pytest.raises(BadValue, match="--gpus: found 2, expected at least 4"):
        Machine("cuda", 2).held_by(run)
