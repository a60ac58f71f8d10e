"""What a method of one's own adds to a plan is said before it starts."""

import platform
import re

import pytest
import yaml
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.cli.template import write_template
from kdbench.plan.graph import load_graph
from kdbench.store.paths import Paths
from kdbench.store.record import write_record
from kdbench.store.timings import Timing, Timings, save_timings
from kdbench.workflow.added_rows import added_by, added_lines
from kdbench.workflow.requests import Requests
from kdbench.workflow.status import describe

PARAMS = {"exhibits": ["distpro/table1", "distpro/figure6"], "scale": "lite"}


@pytest.fixture(name="folder", autouse=True)
def project_with_a_method(tmp_path, monkeypatch):
    """A project with a method fresh from the template, as the current folder."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)
    write_template("mine", tmp_path / "own")
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump({**PARAMS, "plugins": [str(tmp_path / "own")]})
    )
    return tmp_path


def runs_of(folder, **changes):
    """Every run of the plan by digest."""
    return load_graph(folder, changes).runs


def test_a_method_adds_exactly_the_runs_that_a_plan_without_it_lacks(folder):
    """Its students and their evaluations; teachers and data belong to other rows as well."""
    graph = load_graph(folder)
    added = added_by(graph, ["mine"], Paths(folder))
    without = runs_of(folder, plugins=[])
    more = [run for digest, run in graph.runs.items() if digest not in without]

    assert added.runs == added.left == len(more) > 0
    assert {run.phase for run in more} == {"student", "evaluation"}
    requests = Requests(graph.params, lambda: True)
    assert added.hours == pytest.approx(requests.hours(more)) and added.timed == 0


def test_runs_that_no_other_row_needs_are_counted_with_it(folder):
    """Of a plan of that method alone, everything is added by it."""
    graph = load_graph(folder, {"methods_only": ["mine"], "exhibits": ["own"], "tables": [
        {"id": "t", "pairs": ["resnet56:resnet20"], "methods": ["mine"]}
    ]})  # fmt: skip

    assert added_by(graph, ["mine"], Paths(folder)).runs == len(graph.runs)


def test_finished_runs_cost_nothing_more(folder):
    """They are counted, but not among what is to do."""
    graph = load_graph(folder)
    before = added_by(graph, ["mine"], Paths(folder))
    done = next(r for r in graph.runs.values() if r.phase == "student" and "mine" in r.cell)
    write_record(Paths(folder).record(done), {"spec": {"digest": done.digest}})
    after = added_by(graph, ["mine"], Paths(folder))

    assert (after.runs, after.left) == (before.runs, before.left - 1)
    assert after.hours < before.hours


def test_status_says_what_it_adds_and_whence_the_hours_are(folder):
    """Declared ones are called so; timed ones stand as measured."""
    graph, paths = load_graph(folder), Paths(folder)
    added = added_by(graph, ["mine"], paths)
    count = f"methods, mine: adds {added.runs} runs: "
    assert [line.strip() for line in describe(graph, paths) if "mine" in line] == [
        f"{count}at most {added.hours:.3g} hours of one CPU core (by declared figures; kdbench "
        "estimate --device h100 gives a GPU's)"
    ]

    new = [digest for digest in graph.runs if digest not in runs_of(folder, plugins=[])]
    timed = {digest: Timing(seconds=36.0) for digest in new}
    save_timings(
        paths.timings,
        Timings(device="cpu", name="a", node=platform.node(), taken="2026", runs=timed),
    )
    assert list(added_lines(graph, paths)) == [
        f"{count}{added.left / 100:.3g} device hours, as kdbench estimate timed them"
    ]


def test_a_plan_without_a_method_of_ones_own_says_nothing_of_it(folder):
    """Neither without a plug-in nor where a filter leaves it out."""
    for changes in ({"plugins": []}, {"methods_only": ["kd"]}):
        assert list(added_lines(load_graph(folder, changes), Paths(folder))) == []


def test_a_new_method_tells_what_it_will_add_at_every_scale(folder):
    """Before params.yaml lists it; stand-ins take seconds, so no hours are given for them."""
    result = CliRunner().invoke(app, ["method", "new", "other", "--folder", str(folder / "own")])
    told = re.findall(r"At scale .*?(?=At scale|Try)", " ".join(result.output.split()))

    assert result.exit_code == 0
    assert """'exhibits=["distpro/table1"]' 'methods_only=["none","kd","other"]'""" in result.output
    for line, scale in zip(told, ("smoke", "lite", "paper"), strict=True):
        graph = load_graph(folder, {"scale": scale})
        added = added_by(graph, ["other"], Paths(folder))
        assert line.startswith(f"At scale {scale} it adds {added.runs} runs")
    assert ["hours" in line for line in told] == [False, True, True]


def test_a_plan_that_cannot_be_made_does_not_keep_a_method_from_being_written(folder):
    """The reason is one line."""
    (folder / "params.yaml").write_text("scale: huge\n")
    result = CliRunner().invoke(app, ["method", "new", "other", "--folder", str(folder / "own")])

    assert result.exit_code == 0 and (folder / "own/other.py").is_file()
    assert re.search("(?m)^What it adds is not known, .*params.yaml, scale: .*$", result.output)


def test_a_method_that_no_chosen_exhibit_shows_is_said(folder):
    """Own tables have the rows that they name; a filter for another would train nothing of it."""
    table = {"id": "t", "pairs": ["resnet56:resnet20"], "methods": ["kd"]}
    chosen = {"methods_only": ["kd", "mine"], "exhibits": ["own"], "tables": [table]}
    lines = [line for line in describe(load_graph(folder, chosen), Paths(folder)) if "mine" in line]

    assert [line.partition(";")[0].strip() for line in lines] == [
        "methods_only, mine: no chosen exhibit has that row"
    ]
