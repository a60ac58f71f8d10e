"""How many runs there are at every scale, and that paper means as published."""

from collections import Counter
from pathlib import Path

import pytest
from plan_fixtures import planned as plan_of

from kdbench.errors import UserError
from kdbench.papers import published_numbers
from kdbench.plan.graph import load_graph
from kdbench.store.student_runs import StudentRun

PAIRS = [
    "wrn-40-2:wrn-16-2",
    "wrn-40-2:shufflenet-v1",
    "resnet32x4:shufflenet-v1",
    "resnet32x4:shufflenet-v2",
    "resnet56:resnet20",
    "resnet110:resnet32",
]
TEACHERS = {"wrn-40-2", "resnet32x4", "resnet56", "resnet110"}
STUDENTS = {"wrn-16-2", "shufflenet-v1", "shufflenet-v2", "resnet20", "resnet32"}
DISTILLED = {"kd", "l2t_ww", "reviewkd", "equal", "alpha_t", "distpro"}


def of(graph, phase):
    """The runs of one phase."""
    return [spec for spec in graph.runs.values() if spec.phase == phase]


def test_the_paper_scale_has_five_seeds_for_every_row_and_pair(paper):
    """A student without teacher is trained once per network, a search runs once per pair."""
    cells = len(PAIRS) * len(DISTILLED) + len(STUDENTS)

    assert Counter(spec.phase for spec in paper.runs.values()) == {
        "data": 1,
        "teacher": len(TEACHERS),
        "search": len(PAIRS),
        "student": 5 * cells,
        "evaluation": cells + len(TEACHERS),
    }
    seeds = Counter(spec.cell.rpartition("_s")[0] for spec in of(paper, "student"))
    assert set(seeds.values()) == {5}
    assert {spec.seed for spec in of(paper, "student")} == set(range(5))


def test_smoke_has_three_seeds_for_the_first_pair_and_one_elsewhere(planned):
    """Three for every row of the first pair, the student alone included."""
    seeds = Counter(spec.cell.rpartition("_s")[0] for spec in of(planned(), "student"))

    assert {cell for cell, n in seeds.items() if n == 3} == {
        *(f"wrn-40-2_wrn-16-2_{method}" for method in DISTILLED),
        "wrn-16-2_none",
    }
    assert set(seeds.values()) == {1, 3}


@pytest.mark.parametrize(("seeds", "expected"), [(None, 3), (2, 2)])
def test_a_table_can_have_more_seeds_than_its_scale(planned, seeds, expected):
    """Three where lite has one; the seeds of params.yaml, if set, count for all."""
    graph = planned(scale="lite", exhibits=["ours/controls", "ours/losses"], seeds=seeds)
    upstream = [cell.evaluation.upstream for cell in graph.cells["ours/controls"]]

    assert {sum(role.startswith("run") for role in roles) for roles in upstream} == {expected}
    counts = Counter(spec.cell.rpartition("_s")[0] for spec in of(graph, "student"))
    assert set(counts.values()) == {seeds or 1, expected}


@pytest.mark.parametrize("scale", ["smoke", "lite", "paper"])
def test_every_scale_shows_every_exhibit(planned, scale):
    """With the same rows and pairs; only pending rows have no run."""
    graph = planned(scale=scale)
    (table,) = graph.tables()

    assert [exhibit.id for exhibit in graph.exhibits] == ["distpro/table1", "distpro/figure6"]
    assert [pair.key for pair in table.pairs] == PAIRS
    without = {cell.row.label for cell in graph.cells[table.id] if cell.evaluation is None}
    assert without == {row.label for row in table.rows if row.role == "pending"}
    assert graph.drawn["distpro/figure6"]["search"].cell == "wrn-40-2_wrn-16-2_distpro"


def test_figure_6_reads_a_search_that_rows_of_the_table_use(paper):
    """The students of that search are those of alpha_t and distpro."""
    search = paper.drawn["distpro/figure6"]["search"]
    users = [s for s in of(paper, "student") if search in s.schemes]

    assert Counter(s.method.name for s in users) == {"alpha_t": 5, "distpro": 5}


def test_the_paper_scale_trains_as_published(paper):
    """240 epochs, batches of 128, SGD with Nesterov momentum, 0.02 for ShuffleNet students."""
    for spec in [*of(paper, "teacher"), *of(paper, "student")]:
        recipe = spec.recipe.as_dict()
        light = spec.trained.name.startswith("shuff")
        assert recipe.pop("mean") == (125.3 / 255, 123.0 / 255, 113.9 / 255)
        assert recipe.pop("std") == (63.0 / 255, 62.1 / 255, 66.7 / 255)
        assert recipe == {
            "name": "review",
            "epochs": 240,
            "batch": 128,
            "lr": 0.02 if light else 0.1,
            "milestones": (151, 181, 211),
            "gamma": 0.1,
            "momentum": 0.9,
            "nesterov": True,
            "weight_decay": 5e-4,
            "augment": "crop4-flip",
            "reported": "best",
            "steps_per_epoch": None,
            "evaluate_every": 1,
        }
        assert spec.runtime.precision == "float32"
    assert {s.student.name for s in of(paper, "student")} == STUDENTS
    (data,) = of(paper, "data")
    assert (data.train_share, data.stand_in) == (1.0, None)


def test_the_paper_scale_searches_as_published(paper):
    """40 epochs on 0.8 of the training images, 27 pathways, biased softmax, alphas by 0.05."""
    from kdbench.distill.pathways import chosen

    for spec in of(paper, "search"):
        recipe, search = spec.recipe, spec.search.parameters
        light = spec.student.name.startswith("shuff")
        assert (recipe.epochs, recipe.milestones) == (40, (10, 20, 30))
        assert (recipe.batch, recipe.lr) == (128, 0.02 if light else 0.1)
        assert search["held_out"] == 0.2
        assert search["normalise"] == "biased-softmax"
        assert search["gradient"] == "finite-difference"
        assert search["alpha_lr"] == 0.05
        assert search["scale_free"] is False
        space = {key: search[key] for key in ("connections", "maps", "stem", "transforms")}
        stages = 4  # of every network in the table, the stem included
        assert len(chosen(stages, stages, **space)) == 27


def test_the_published_weights_of_reviewkd_reach_their_pairs(paper):
    """Each pair has the weight of ReviewKD's code, and a teacher with batch statistics."""
    entries = {
        spec.cell.rpartition("_reviewkd")[0]: spec.method
        for spec in of(paper, "student")
        if spec.method.name == "reviewkd"
    }
    weights = {cell.replace("_", ":"): e.parameters["weight"] for cell, e in entries.items()}

    assert weights == dict(zip(PAIRS, (5.0, 5.0, 5.0, 8.0, 0.6, 1.0), strict=True))
    assert {entry.teacher_mode for entry in entries.values()} == {"batch"}


def test_every_student_has_the_teacher_of_its_pair(paper):
    """Where the method needs a search, that has the same teacher; else there is none."""
    for spec in of(paper, "student"):
        assert spec.data.cell == "cifar100"
        if spec.method.name == "none":
            assert spec.upstream.keys() == {"data"}
            continue
        teacher = spec.teacher.network.name
        assert spec.teacher.cell == teacher
        assert spec.cell.startswith(f"{teacher}_{spec.student.name}_{spec.method.name}_s")
        assert f"{teacher}:{spec.student.name}" in PAIRS
        needs_search = spec.method.name in ("alpha_t", "distpro")
        assert ("search" in spec.upstream) == needs_search
        if needs_search:
            assert spec.schemes[0].teacher is spec.teacher


def test_filters_keep_what_they_name_and_the_teachers(planned):
    """A plan without any run is refused in one line."""
    graph = planned(
        pairs=["resnet56:resnet20"], methods_only=["kd"], seeds=2, exhibits=["distpro/table1"]
    )

    assert sorted(spec.cell for spec in graph.runs.values()) == [
        "cifar100",
        "resnet56",
        "resnet56",
        "resnet56_resnet20_kd",
        "resnet56_resnet20_kd_s0",
        "resnet56_resnet20_kd_s1",
    ]
    with pytest.raises(UserError, match="no run is left") as caught:
        planned(exhibits=["distpro/figure6"], pairs=["resnet56:resnet20"])
    assert "\n" not in str(caught.value)


def test_an_override_of_a_scale_changes_that_scale_alone(planned):
    """Students at lite have its steps and epochs; the digests of smoke stay."""
    overrides = {"lite": {"steps_per_epoch": 2, "student_epochs": 3}}
    lite, smoke = (planned(scale=scale, scales=overrides) for scale in ("lite", "smoke"))

    recipes = [spec.recipe for spec in of(lite, "student")]
    assert {(r.steps_per_epoch, r.epochs) for r in recipes} == {(2, 3)}
    assert smoke.runs.keys() == planned().runs.keys()


def test_no_two_scales_share_a_run(planned, paper):
    """The digests of smoke, lite and paper are disjoint."""
    digests = [set(planned(scale=s).runs) for s in ("smoke", "lite")] + [set(paper.runs)]

    assert sum(map(len, digests)) == len(set.union(*digests))


def test_every_row_of_a_published_method_has_its_printed_numbers(paper):
    """For every pair that the paper prints; DistPro prints L2T-ww+ for two pairs alone."""
    (table,) = paper.tables()
    printed, missing = published_numbers(table.published), Counter()
    for row in table.rows:
        for pair in table.pairs if row.published else ():
            labels = {
                role: paper.components.get("network", getattr(pair, role), where="test").label
                for role in ("teacher", "student")
            }
            key = (table.exhibit, table.setting.format(**labels), row.published, table.metric.key)
            missing[row.label] += key not in printed

    assert len(missing) > 1
    assert {label: count for label, count in missing.items() if count} == {"L2T-ww+": 4}


@pytest.mark.parametrize(
    ("exhibits", "expected"),
    [
        (["crd"], {"crd/table1", "crd/table2"}),
        (["all", "crd/table2"], {"crd/table2"}),
        (["all"], set()),
    ],
)
def test_an_exhibit_on_request_is_planned_only_when_it_is_named(planned, exhibits, expected):
    """By its id or its paper; `all` alone leaves it out."""
    graph = planned(scale="paper", exhibits=exhibits)
    tables = {table.id for table in graph.tables()}

    assert {table for table in tables if table.startswith("crd/")} == expected
    assert ("distpro/table1" in tables) == ("all" in exhibits)


def test_one_network_is_trained_under_each_table_s_own_protocol(planned):
    """Teachers and students of the two papers differ in batch, rate and momentum."""
    graph = planned(scale="paper", exhibits=["all", "crd"])
    teachers = [s for s in of(graph, "teacher") if s.cell == "wrn-40-2"]
    recipes = {s.recipe.name: s.recipe for s in teachers}
    light = {
        s.recipe.name: s.recipe.lr
        for s in of(graph, "student")
        if s.student.name == "shufflenet-v1"
    }

    assert {k: (r.batch, r.lr, r.nesterov) for k, r in recipes.items()} == {
        "review": (128, 0.1, True),
        "crd": (64, 0.05, False),
    }
    assert recipes["crd"].milestones == (150, 180, 210)
    assert recipes["crd"].reported == "last"
    assert light == {"review": 0.02, "crd": 0.01}


def test_every_printed_number_of_crd_has_its_cell(planned):
    """Every printed row but FSP's has a number in each of its cells."""
    graph, shown = planned(scale="paper", exhibits=["crd"]), set()
    printed = published_numbers("crd.csv")
    for table in graph.tables():
        for row in table.rows:
            for pair in table.pairs if row.published else ():
                labels = {
                    role: graph.components.get("network", getattr(pair, role), where="test").label
                    for role in ("teacher", "student")
                }
                setting = table.setting.format(**labels)
                shown.add((table.exhibit, setting, row.published, table.metric.key))

    assert printed.keys() <= shown
    missing = {key[1:3] for key in shown - printed.keys()}
    assert {method for _, method in missing} <= {"FSP"}


def test_a_run_is_found_by_digest_beginning_or_cell(paper):
    """Where a search and a student share a cell, phase/cell finds either."""
    spec = of(paper, "search")[0]

    assert paper.run(spec.digest) is spec
    assert paper.run(spec.digest[:10]) is spec
    assert paper.run(f"search/{spec.cell}") is spec
    assert paper.run("resnet56").phase == "teacher"
    assert paper.run("resnet56", with_artifacts=True).phase == "teacher"
    shared = "resnet56_resnet20_distpro"
    assert paper.run(shared).phase == "evaluation"
    assert paper.run(shared, with_artifacts=True).phase == "search"


def test_cells_of_one_name_are_told_apart_by_protocol_and_exhibit(planned):
    """The line holds both beside each digest."""
    graph = planned(scale="lite", exhibits=["dfa/table1", "distpro/table1"])
    with pytest.raises(UserError, match=r"\w{12} \(dfa cifar in dfa/table1\)") as caught:
        graph.run("wrn-16-2_none")
    assert " (review in distpro/table1); give a digest" in str(caught.value)


def test_cells_of_one_name_are_told_apart_by_their_data_sets(planned):
    """The line has names that work."""
    both = ["cifar100-64", "tinyimagenet_fifth"]
    graph = planned(scale="lite", exhibits=["distpro/tiny-imagenet"], datasets=both)
    names = [f"teacher/{name}/resnet34" for name in both]
    said = r"matches 2 runs: teacher/(\S+)/resnet34, teacher/(\S+)/resnet34; give more of the name"
    with pytest.raises(UserError, match=said):
        graph.run("teacher/resnet34")

    assert [graph.run(name).dataset for name in names] == both
    assert {graph.run(name).cell for name in names} == {"resnet34"}


def test_an_ambiguous_name_is_refused_with_three_names_of_single_runs(paper):
    """An unknown name is refused with the nearest one."""
    first = Counter(digest[0] for digest in paper.runs).most_common(1)[0][0]
    for name in (first, ""):
        with pytest.raises(
            UserError, match=r" runs: .* \.\.\.; give more of the name, or a digest$"
        ) as caught:
            paper.run(name)
        number = sum(digest.startswith(name) for digest in paper.runs)
        assert f"{name!r} matches {number} runs: " in str(caught.value)
        listed = str(caught.value).partition(" runs: ")[2].partition(" ...")[0].split(", ")
        assert len(listed) == len({paper.run(each).digest for each in listed}) == 3
    with pytest.raises(UserError, match="no run is called 'resnet57'; did you mean"):
        paper.run("resnet57")
    with pytest.raises(UserError, match=r"names with it: evaluation/\S*_reviewkd.* and \d+ more$"):
        paper.run("reviewkd")
    with pytest.raises(UserError, match=r"kdbench status --runs --scale paper lists all \d+$"):
        paper.run("nothing like it")


def test_section_44_has_the_seeds_that_its_claim_needs():
    """As many as Table 5 at scale paper; elsewhere the scale's."""
    ids = ["distpro/pathways", "distpro/table5"]
    for scale, seeds in (("paper", {5}), ("lite", {1}), ("smoke", {1})):
        graph = plan_of(scale=scale, datasets=["cityscapes"], exhibits=ids)
        for exhibit in graph.exhibits:
            students = [run for run in graph.behind(exhibit) if isinstance(run.first, StudentRun)]
            assert {len(run.runs) for run in students} == seeds, (scale, exhibit.id)


def test_the_readme_says_how_many_runs_scale_paper_has():
    """Of the shipped params.yaml."""
    root = Path(__file__).parents[2]
    runs = load_graph(root, {"scale": "paper"}).runs

    assert f"what would run: {len(runs)} runs" in (root / "README.md").read_text(encoding="utf-8")
