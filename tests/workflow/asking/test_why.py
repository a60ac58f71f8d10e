"""`kdbench why`: nothing that a digest holds is left out of the answer."""

import json
import shlex

import pytest

from kdbench.errors import UnknownName, UserError
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.store.atomic import write_json
from kdbench.store.paths import Paths
from kdbench.store.record import write_record
from kdbench.workflow.asking import aspects
from kdbench.workflow.asking.aspects import ASPECTS, IRRELEVANT, aspect_of, compared, described
from kdbench.workflow.asking.difference import flat, given
from kdbench.workflow.asking.why import why
from kdbench.workflow.named import find_run

CELL = "wrn-40-2_wrn-16-2_kd"
TABLE = {"exhibits": ["distpro/table1"], "pairs": ["wrn-40-2:wrn-16-2"]}
ON_REQUEST = ["all", "crd", "dfa", "distpro", "sbs", "ours"]


def plans():
    """The whole plan at every scale, with a table, imported teachers and held-out images."""
    own = {"id": "mine", "pairs": ["resnet56:resnet20"], "methods": ["kd"], "held_out": 0.1}
    teachers = {"cifar100/wrn-40-2": "0" * 64}
    for scale in ("smoke", "lite", "paper"):
        yield make_graph(
            Params(scale=scale, exhibits=[*ON_REQUEST, "own"], tables=[own], teachers=teachers)
        )


def digest_content(run, monkeypatch):
    """What a run's digest is made of."""
    contents = []
    monkeypatch.setattr("kdbench.store.spec.digest_of", lambda c: contents.append(c) or "0" * 12)
    type(run).digest.func(run)
    return contents[0]


def test_every_key_of_every_digest_has_an_aspect_or_is_listed_as_irrelevant(monkeypatch):
    """Parameters and revisions by aspect, the others with a reason; no aspect is never used."""
    used = set()
    for graph in plans():
        for run in graph.runs.values():
            assert run.digest  # those of inputs are known before the function is replaced
        for run in graph.runs.values():
            with monkeypatch.context() as patch:
                content = digest_content(run, patch)
            assert {*content} == {"params", "revisions", *IRRELEVANT}, run.title
            spec = {"params": content["params"], "revisions": content["revisions"]}
            keys = {key: aspect_of(key) for key in given({"spec": spec})}
            assert None not in keys.values(), (run.title, keys)
            used |= {*keys.values()}
            if run.phase != "data":
                assert {*flat(content["params"])} <= {*keys}
    assert used == {*ASPECTS}


def test_an_aspect_that_is_missing_is_seen(monkeypatch):
    """Without the aspect of epochs the check above would fail."""
    fewer = {name: pattern for name, pattern in ASPECTS.items() if name != "epochs"}
    monkeypatch.setattr(aspects, "ASPECTS", fewer)

    assert aspect_of("recipe.epochs") is None


def test_the_runs_behind_a_cell_are_all_described():
    """Its students, their teacher, their search, its data."""
    graph = make_graph(Params(scale="lite", **TABLE))
    evaluation = graph.run("evaluation/wrn-40-2_wrn-16-2_distpro")

    assert {*described(evaluation)} == {"evaluation", "student", "teacher", "search", "data"}


def test_a_cell_at_scale_paper_without_overrides_is_as_published():
    """No aspect has a difference."""
    graph = make_graph(Params(scale="paper", **TABLE))
    cell = graph.run(f"evaluation/{CELL}")

    assert not any(compared(cell, cell).values())


@pytest.mark.parametrize(
    ("change", "aspect", "key"),
    [
        ({"seeds": 2}, "seeds", "evaluation, runs"),
        ({"methods": {"kd": {"temperature": 9.0}}}, "method", "temperature"),
        ({"scales": {"paper": {"student_epochs": 3}}}, "epochs", "student, recipe.epochs"),
        ({"scales": {"paper": {"teacher_epochs": 3}}}, "epochs", "teacher, recipe.epochs"),
        ({"scales": {"paper": {"batch": 32}}}, "protocol", "student, recipe.batch"),
        ({"scales": {"paper": {"train_share": 0.5}}}, "data and scale", "data, train_share"),
        ({"scales": {"paper": {"precision": "bf16"}}}, "rounding", "student, precision"),
        (
            {"scales": {"paper": {"ranks": 2}}, "methods_only": ["kd"]},
            "several processes",
            "student, ranks",
        ),
        ({"scales": {"paper": {"teacher_epoch": "last"}}}, "teacher", "teacher_epoch"),
        ({"teachers": {"cifar100/wrn-40-2": "0" * 64}}, "teacher", "teacher, checkpoint"),
    ],
    ids=json.dumps,
)
def test_a_change_is_said_under_its_aspect(change, aspect, key):
    """And nowhere else, but for what follows from it."""
    published, here = (
        make_graph(Params(scale="paper", **TABLE, **more)).run(f"evaluation/{CELL}")
        for more in ({}, change)
    )

    assert any(key in name for name in compared(published, here)[aspect])


def test_the_answer_has_every_aspect_and_the_teachers_accuracy(tmp_path):
    """One line per aspect that differs, one for all others, then what the records say."""
    graph, paths = make_graph(Params(scale="lite", **TABLE)), Paths(tmp_path)
    teacher = graph.run("teacher/wrn-40-2")
    origin = {"code": "another", "versions": {"torch": "2.9.0"}, "device": "test device"}
    content = {"spec": teacher.as_dict(), "provenance": origin, "notes": ["A remark."]}
    metrics = {"best": {"top1": 31.5, "epoch": 20}, "last": {"top1": 31.0}}
    write_record(paths.record(teacher), {**content, "metrics": metrics})
    lines = list(why(graph, paths, CELL))

    heads = [line.strip().partition(":")[0] for line in lines]
    (same,) = (line.partition(": ")[2] for line in lines if line.startswith("  as published: "))
    assert {*ASPECTS} <= {*heads, *same.split(", ")}
    assert "normalisation" in same.split(", ") and "epochs" in heads
    text = "\n".join(lines)
    assert "distpro/table1, row KD (added by us), WRN-40-2 → WRN-16-2" in lines[0]
    assert "student, recipe.epochs 240 -> 4" in text
    assert "evaluation, student, teacher, precision float32 -> bf16" in text
    assert "76.51 published, 31.50 % here, taken at its best epoch on the test set" in text
    assert "versions: torch 2.9.0; the paper's are not known" in text
    assert "made by today's code: no run" in text
    assert "notes of the runs: A remark." in text


def test_a_cell_that_diverged_is_told_with_the_reason(tmp_path):
    """That which its run left on disk."""
    graph, paths = make_graph(Params(scale="lite", **TABLE)), Paths(tmp_path)
    student = graph.run(f"student/{CELL}_s0")
    content = {"schema": 1, "title": student.title, "said": "epoch 0: found nan"}
    write_json(paths.diverged(student), content)

    said = f"  diverged: {student.title}: epoch 0: found nan"
    assert said in list(why(graph, paths, CELL))


def test_a_cell_of_several_tables_is_told_once(tmp_path):
    """The second table says what differs there, such as its number of seeds, and no more."""
    both = {**TABLE, "exhibits": ["distpro/table1", "ours/searches"]}
    graph = make_graph(Params(scale="smoke", **both))
    lines = list(why(graph, Paths(tmp_path), CELL))
    (second,) = (n for n, line in enumerate(lines) if line.startswith("ours/searches, row KD"))

    assert "seeds: evaluation, runs 5 -> 3" in "\n".join(lines[:second])
    assert "seeds: evaluation, runs 5 -> 1" in "\n".join(lines[second:])
    assert lines[-1] == "  for the rest as above"
    assert len(lines) - second < second / 2
    for more in ("evaluation", "evaluation/cifar100"):
        assert list(why(graph, Paths(tmp_path), f"{more}/{CELL}")) == lines


def test_a_claim_is_told_with_its_exhibits_and_the_command_for_its_runs(tmp_path):
    """By its id; and what to write into params.yaml where the plan has none of its exhibits."""
    graph, paths = make_graph(Params(scale="lite", **TABLE)), Paths(tmp_path)
    lines = list(why(graph, paths, "distpro/advantage"))
    left_out = list(why(graph, paths, "dfa/collapse"))

    assert lines[0].startswith("distpro/advantage (Table 1): DistPro is better than equal weights")
    assert "  evidence in: distpro/table1" in lines
    methods = ["alpha_t", "distpro", "equal"]
    fewer = make_graph(Params(scale="lite", **TABLE, methods_only=methods))
    assert f"  runs: 0 of {len(fewer.runs)} done" in lines and len(fewer.runs) < len(graph.runs)
    assert lines[-1].startswith("  to make the others: snakemake ")
    assert lines[-1].endswith(f"'methods_only={json.dumps(methods)}'")
    assert any(
        "  protocol: " in line
        and "review (4 epochs)" in line
        and "in bf16; students per cell: 1; tolerance" in line
        for line in lines
    )
    now = """for this call alone:  --override '{"exhibits": ["dfa/weights"]}'"""
    always = "  to plan its runs, put into params.yaml:  exhibits: [dfa/weights];  "
    assert left_out[-1] == always + now


@pytest.mark.parametrize(
    "asked", [["cifar100"], ["cifar100", "cifar100-64"], ["cifar100", "tinyimagenet_fifth"]]
)
def test_the_advice_to_plan_an_exhibit_names_the_data_sets_of_all_its_runs(tmp_path, asked):
    """As written it works, for good and for one call, and leaves no run out."""
    name = "distpro/tiny-imagenet"
    graph = make_graph(Params(datasets=asked, exhibits=["distpro/table1"]))
    advice = list(why(graph, Paths(tmp_path), name))[-1]
    now = shlex.split(advice.partition("--override ")[2])
    both = ["cifar100-64", "tinyimagenet_fifth"]
    always = [*asked, *(one for one in both if one not in asked)]

    assert json.loads(*now) == {"exhibits": [name], "datasets": both}
    assert f"exhibits: [{name}] and datasets: [{', '.join(always)}];  " in advice
    plans = [make_graph(Params(exhibits=[name], datasets=names)) for names in (both, always)]
    assert [{*plan.runs} for plan in plans] == [{*plans[0].runs}] * 2
    assert all(cell.evaluation for cell in plans[0].cells[name] if cell.row.stands_in(cell.column))


def test_finished_runs_of_a_claim_are_named_by_phase(tmp_path):
    """Its data set is done, and none of its numbers: both are said."""
    graph, paths = make_graph(Params(scale="lite", **TABLE)), Paths(tmp_path)
    data = graph.run("data/cifar100")
    write_record(paths.record(data), {"spec": data.as_dict(), "cost": {"seconds": 1.0}})
    text = "\n".join(why(graph, paths, "distpro/advantage"))

    assert "not testable yet: none of its numbers is measured yet" in text
    assert " done (1 data)\n" in text


def test_a_run_that_no_table_shows_by_itself_names_the_cells_that_depend_on_it(tmp_path):
    """A search: its own rows, not those of other methods; of data: the first of all cells."""
    graph, paths = make_graph(Params(**TABLE)), Paths(tmp_path)
    search = graph.run("search/wrn-40-2_wrn-16-2_distpro")
    first, *cells, last = why(graph, paths, search.digest)

    assert first.startswith(f"{search.title} ({search.digest}): no table shows it by itself")
    assert cells == ["  wrn-40-2_wrn-16-2_alpha_t", "  wrn-40-2_wrn-16-2_distpro"]
    assert last.startswith("kdbench why CELL")
    every = make_graph(Params(exhibits=["distpro/table1"]))
    _, *cells, more, last = why(every, paths, "data/cifar100")
    assert len(cells) == 10 and more.startswith("  and ")


def test_a_run_behind_no_table_is_refused(tmp_path):
    """The line says where to look."""
    graph = make_graph(Params(exhibits=["dfa/weights"]))
    with pytest.raises(UserError, match="no table shows this run"):
        list(why(graph, Paths(tmp_path), "data/cifar100"))


def test_an_exhibit_is_told_with_its_claims_runs_and_cells(tmp_path):
    """By its id; of a figure its runs; and what to write where the plan does not have it."""
    planned = Params(scale="lite", exhibits=["distpro/table1", "dfa/weights"], pairs=TABLE["pairs"])
    graph, paths = make_graph(planned), Paths(tmp_path)
    table, figure, absent = (
        list(why(graph, paths, name)) for name in ("distpro/table1", "dfa/weights", "crd/table1")
    )

    assert table[0].startswith("distpro/table1: ")
    assert any("distpro/advantage" in line for line in table)
    assert any(line.startswith("  to make the others: snakemake ") for line in table)
    (kd,) = (line for line in table if line.startswith(f"    {CELL}: "))
    assert kd.endswith("KD (added by us), WRN-40-2 → WRN-16-2; unpublished; here: not run yet")
    assert any("teacher, WRN-40-2 → WRN-16-2; published: 76.51 % (paper)" in line for line in table)
    assert figure[0].startswith("dfa/weights: ") and len(figure) > 1
    assert absent[-1].startswith(
        "  to plan its runs, put into params.yaml:  exhibits: [crd/table1]"
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [("distpro/tabel1", "distpro/table1"), ("distpro/advantag", "distpro/advantage")],
)
def test_a_misspelt_exhibit_or_claim_names_the_nearest(tmp_path, name, near):
    """Their ids are among the names that fit."""
    graph = make_graph(Params(**TABLE))
    with pytest.raises(UnknownName, match=f"no run, exhibit or claim .* did you mean '{near}'"):
        list(why(graph, Paths(tmp_path), name))


@pytest.mark.parametrize(
    ("name", "what"), [("distpro/table1", "an exhibit"), ("distpro/advantage", "a claim")]
)
def test_a_command_that_takes_runs_says_what_describes_an_exhibit_or_claim(name, what):
    """As `kdbench run` and `kdbench redo` do."""
    with pytest.raises(UnknownName, match=f"{name} is {what}, not a run; kdbench why {name}"):
        find_run(make_graph(Params(**TABLE)), name)
