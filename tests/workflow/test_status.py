"""What `kdbench status` says of records that are there, damaged, or made by older code."""

import json

import pytest

from kdbench.errors import DamagedData
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.store import fingerprint
from kdbench.store.atomic import write_json
from kdbench.store.fingerprint import run_fingerprint
from kdbench.store.paths import Paths
from kdbench.store.record import write_record
from kdbench.workflow.status import describe, describe_exhibit, list_runs, state


@pytest.fixture(name="graph")
def small_plan(planned):
    """One pair; figure 6 shows another."""
    return planned(pairs=["resnet56:resnet20"], methods_only=["none"])


def data_run(graph):
    """The first run of all."""
    return next(iter(graph.runs.values()))


def write(paths, spec, /, **changes):
    """A record as short as one can be."""
    provenance = {"code": run_fingerprint(spec)}
    content = {"spec": {"digest": spec.digest}, "provenance": provenance, **changes}
    content = {key: value for key, value in content.items() if value is not None}
    (write_json if "schema" in content else write_record)(paths.record(spec), content)


def test_status_says_that_a_figure_was_filtered_out(graph, tmp_path):
    """It does not say 0 of 0 runs."""
    lines = list(describe(graph, Paths(tmp_path)))

    assert not any("0 of    0" in line for line in lines)
    assert any("distpro/figure6" in line and "left out" in line for line in lines)
    assert not any("older code" in line for line in lines)


def test_status_names_an_imported_teacher_that_no_run_uses(tmp_path):
    """At a scale of stand-ins no run uses any; one that is used is not named."""
    known = {"cifar100/wrn-40-2": "0" * 64, "cifar100/vgg13": "1" * 64}

    def said(scale):
        graph = make_graph(Params(scale=scale, exhibits=["distpro/table1"], teachers=known))
        return [x.strip() for x in describe(graph, Paths(tmp_path)) if "not used" in x]

    assert said("lite") == [
        "teachers, cifar100/vgg13: not used at scale lite: no run has that teacher"
    ]
    assert len(said("smoke")) == 2 and "stand-in" in said("smoke")[0]


def test_status_names_ranks_that_no_run_uses(tmp_path):
    """A pair that no exhibit has, and all of them at a scale of stand-ins."""
    known = {
        "cifar100/wrn-40-2:wrn-16-2": {"student": 2},
        "cifar100/vgg13:wrn-16-2": {"student": 2},
    }

    def said(scale):
        asked = Params(
            scale=scale,
            exhibits=["distpro/table1"],
            methods_only=["none", "kd"],
            ranks=known,
        )
        return [x.strip() for x in describe(make_graph(asked), Paths(tmp_path)) if "not used" in x]

    assert said("lite") == [
        "ranks, cifar100/vgg13:wrn-16-2: not used at scale lite: no exhibit trains that"
    ]
    assert len(said("smoke")) == 2 and "scales: {smoke: {ranks: N}}" in said("smoke")[0]


def test_status_says_how_to_repeat_older_records(graph, tmp_path):
    """One line names the command."""
    paths, spec = Paths(tmp_path), data_run(graph)
    write(paths, spec)
    assert state(spec, paths) == "done"

    write(paths, spec, provenance={"code": "another"})
    advice = list(describe(graph, paths))[-1]
    assert state(spec, paths) == "done, by older code"
    assert "1 done by older code" in advice and "kdbench redo" in advice


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 3},
        {"spec": None},
        {"spec": {"digest": "0123456789ab"}},
        {"spec": 3},
        {"provenance": None},
        {"provenance": []},
        {"provenance": {"code": 3}},
    ],
    ids=json.dumps,
)
def test_a_damaged_or_foreign_record_is_one_line(graph, tmp_path, changes):
    """The line names the file and says what to do with it."""
    paths, spec = Paths(tmp_path), data_run(graph)
    write(paths, spec, **changes)
    for ask in (describe, list_runs):
        with pytest.raises(DamagedData, match="delete the file") as caught:
            list(ask(graph, paths))
        assert str(paths.record(spec)) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_record_made_by_code_of_the_same_numbers_counts_as_done(graph, tmp_path, monkeypatch):
    """Code that was only moved or renamed makes no record an older one; other code does."""
    paths, spec = Paths(tmp_path), data_run(graph)
    today = run_fingerprint(spec)
    monkeypatch.setattr(fingerprint, "_same_code", lambda: {"moved": ["x", today], "other": ["x"]})
    states = {}
    for code in ("moved", "other", "unknown"):
        write(paths, spec, provenance={"code": code})
        states[code] = state(spec, paths)

    assert states["moved"] == "done"
    assert states["other"] == states["unknown"] == "done, by older code"


def test_a_record_that_was_changed_is_named_and_told_from_an_older_one(graph, tmp_path):
    """The first does not count as done; of the second it is said that nothing shows changes."""
    paths, spec = Paths(tmp_path), data_run(graph)
    write(paths, spec, metrics={"top1": 80.56})
    assert not any("seal" in line for line in describe(graph, paths))

    file = paths.record(spec)
    file.write_text(file.read_text().replace("80.56", "99.9"))
    (line,) = (line.strip() for line in describe(graph, paths) if "seal" in line)
    assert state(spec, paths) == "done, altered since"
    assert line.startswith(f"{file} does not match its seal: it was changed after the run; bring")
    assert any("1 done, altered since" in line for line in describe(graph, paths))

    write(paths, spec, schema=1)
    (line,) = (line.strip() for line in describe(graph, paths) if "seal" in line)
    assert state(spec, paths) == "done"
    assert line.startswith("1 record is of an older schema, without a seal")


def test_the_columns_of_all_exhibits_are_in_line(tmp_path):
    """Whatever the longest name is."""
    graph = make_graph(Params(exhibits=["distpro"]))
    lines = [line for line in describe(graph, Paths(tmp_path)) if " runs  DistPro" in line]

    assert len(lines) == len(graph.exhibits) > 10
    assert len({line.index(" of ") for line in lines}) == 1


def test_an_exhibit_whose_data_sets_are_not_asked_for_is_named_with_them(tmp_path):
    """Where it is asked for by its own name; its own status says it too."""
    name, line = "distpro/tiny-imagenet", "that it shows; add cifar100-64, tinyimagenet_fifth"
    paths, asked = Paths(tmp_path), {"exhibits": ["distpro/table1", name]}
    graph = make_graph(Params(**asked))
    whole = make_graph(Params(**asked, datasets=["cifar100", "tinyimagenet_fifth", "cifar100-64"]))
    exhibit = next(e for e in whole.exhibits if e.id == name)
    said = [one for one in describe(graph, paths) if line in one]

    assert [one.split()[:4] for one in said] == [[name, "is", "left", "out:"]]
    assert list(describe_exhibit(exhibit, graph, paths))[-1].endswith(line)
    assert not any("left out" in one for one in describe(whole, paths))
    assert not any("left out" in one for one in describe(make_graph(Params()), paths))


def test_rows_whose_searches_have_no_data_set_are_named_with_it(tmp_path):
    """Of an exhibit that is asked for by its own name; its own status says it too."""
    name, paths = "distpro/tiny-imagenet", Paths(tmp_path)
    line = "what is searched on cifar100-64 is left out; to have it, add cifar100-64 to `datasets`"
    graph = make_graph(Params(exhibits=[name], datasets=["tinyimagenet_fifth"]))
    papers = make_graph(Params(exhibits=["distpro"], datasets=["tinyimagenet_fifth"]))
    (exhibit,) = graph.exhibits

    assert f"  {name}: {line}" in list(describe(graph, paths))
    assert f"  {line}" in list(describe_exhibit(exhibit, graph, paths))
    assert not any("left out" in one for one in describe(papers, paths))


def test_the_status_of_an_exhibit_counts_its_runs_by_phase(graph, tmp_path):
    """Its runs are listed on request; one that is not planned is said to be none."""
    paths = Paths(tmp_path)
    write(paths, data_run(graph))
    (table,) = graph.tables()
    short, long = (list(describe_exhibit(table, graph, paths, runs=runs)) for runs in (False, True))
    other = make_graph(Params(exhibits=["crd/table1"])).exhibits[0]

    assert f"1 of {len(graph.runs):4} runs" in short[1] and short[2].split() == [
        "data",
        "1",
        "done",
    ]
    assert f"kdbench status {table.id} --runs lists them" in short[-1]
    assert {line.split()[0] for line in long} > {*graph.runs}
    assert "exhibits: [crd/table1];" in list(describe_exhibit(other, graph, paths))[-1]
