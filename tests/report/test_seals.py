"""What a report makes of records that were changed after their runs, or that have no seal."""

import json

import pytest
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.report.make import make_report
from kdbench.report.readings.records import CellState, Records
from kdbench.store.atomic import write_json
from kdbench.workflow.report import report_record, write_report
from kdbench.workflow.tune import lines, ranked


@pytest.fixture(name="plan")
def two_rows(project):
    """A table with two finished rows."""
    plan = project(scale="paper", exhibits=["distpro/table1"], methods_only=["none", "kd"])
    plan.files = [plan.evaluate("KD (added by us)", [70.66]), plan.evaluate("student", [69.06])]
    return plan


def edit(file, old, new):
    """Change a record as a person would."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_changed_number_is_not_used_and_its_record_is_named(plan):
    """Its cell is marked, in the table and in the CSV; others stay."""
    edit(plan.files[0], "70.66", "99.99")
    page = make_report(plan.graph, plan.paths)
    text = page.read_text(encoding="utf-8")
    table = (page.parent / "tables/distpro-table1.csv").read_text(encoding="utf-8")

    alone = (page.parent / "tables/distpro-table1.md").read_text(encoding="utf-8")

    assert "99.99" not in text + alone + table and "70.66" not in table
    assert "69.06" in alone
    assert "record altered" in table
    name = plan.files[0].relative_to(plan.paths.root).as_posix()
    said = [
        line
        for line in (text + alone).splitlines()
        if name in line and line.startswith("- Not used")
    ]
    assert len(said) == 2, "under the table, and under the runs"
    assert all("does not match its seal" in line for line in said)
    cell = plan.cell("KD (added by us)")
    records = Records(plan.paths)
    assert records.state(cell) is CellState.ALTERED
    assert records.get(cell.evaluation) is None
    assert "runs are missing" in text, "the others; this one is there"


def test_records_of_the_older_schema_are_used_and_counted(plan):
    """One line says that they have no seal."""
    for file in plan.files:
        content = json.loads(file.read_text())
        del content["seal"]
        write_json(file, {**content, "schema": 1})
    page = make_report(plan.graph, plan.paths)
    text = page.read_text(encoding="utf-8")
    alone = (page.parent / "tables/distpro-table1.md").read_text(encoding="utf-8")

    assert "70.66" in alone and "69.06" in alone
    assert "2 records are of an older schema, without a seal" in text
    assert "does not match its seal" not in text.partition("How to read")[0]


def test_intact_records_are_not_spoken_of(plan):
    """Nothing is said where nothing is wrong."""
    text = make_report(plan.graph, plan.paths).read_text(encoding="utf-8")

    assert "without a seal" not in text and "Not used" not in text


def test_a_report_with_a_changed_record_is_written_again_the_next_time(plan, monkeypatch):
    """It has no record of its own before all numbers are used."""
    monkeypatch.setattr("kdbench.report.make.make_report", lambda graph, paths, records: None)
    for run in plan.graph.runs.values():
        if not plan.paths.record(run).is_file():
            plan.write(run)
    write_report(plan.graph, plan.paths)
    assert report_record(plan.graph, plan.paths).is_file()

    edit(plan.files[0], "70.66", "99.99")
    write_report(plan.graph, plan.paths)
    assert not report_record(plan.graph, plan.paths).is_file()


def test_the_command_names_it_and_fails_once_the_report_is_written(plan, monkeypatch):
    """Else a workflow would say that a file is missing, and blame the file system."""
    monkeypatch.setattr("kdbench.cli._graph", lambda scale, override: plan.graph)
    monkeypatch.setattr("kdbench.store.paths.Paths", lambda: plan.paths)
    edit(plan.files[0], "70.66", "99.99")
    result = CliRunner().invoke(app, ["report"])

    assert result.exit_code == 3 and (plan.paths.report("paper") / "README.md").is_file()
    name = plan.files[0].relative_to(plan.paths.root).as_posix()
    (line,) = result.stderr.splitlines()
    assert name in line and "does not match its seal" in line


def test_a_tuning_ranks_no_changed_number(project):
    """It says why a row has none."""
    plan = project(scale="paper", exhibits=["dfa/tuning"])
    (table,) = (table for table in plan.graph.tables() if table.tuning_holdout)
    evaluations = [cell.evaluation for cell in plan.graph.cells[table.id] if cell.evaluation]
    _, one, *_, other = evaluations
    assert [evaluations.count(run) for run in (one, other)] == [1, 1], "rows of their own"
    runs = [{"seed": 0, "last": {"top1": 50.25}}]
    files = [plan.write(run, {"runs": runs}) for run in (other, one)]
    edit(files[0], "50.25", "97.5")
    choices = ranked(plan.graph, plan.paths, table)
    text = "\n".join(lines(choices))

    assert [c.values for c in choices if c.values] == [(50.25,)]
    assert sum(c.altered for c in choices) == 1
    assert "97.5" not in text and "its record does not match its seal" in text
