"""What status and reports say of a data set that was prepared again from other images."""

import json

import pytest
from made_up import provenance

from kdbench.report.make import make_report
from kdbench.report.readings.records import Records
from kdbench.report.render import render
from kdbench.store.fingerprint import run_fingerprint
from kdbench.workflow.status import describe

OLDER, NEWER = "a" * 64, "b" * 64


@pytest.fixture(name="plan")
def finished_on_older_images(project):
    """A table with a finished row, its data run, and the data set as that run found it."""
    plan = project(scale="paper", exhibits=["distpro/table1"], methods_only=["none", "kd"])
    plan.files = [plan.evaluate("KD (added by us)", [70.66])]
    plan.evaluation = plan.cell("KD (added by us)").evaluation
    record(plan, plan.evaluation.data, OLDER, metrics={"source_fingerprint": OLDER})
    record(plan, plan.evaluation, OLDER, metrics=json.loads(plan.files[0].read_text())["metrics"])
    prepare(plan, OLDER)
    return plan


def record(plan, spec, fingerprint, **more):
    """A finished run that saw images of this fingerprint."""
    origin = {"data_fingerprint": fingerprint, "code": run_fingerprint(spec)}
    return plan.write(spec, provenance=provenance(spec, **origin), **more)


def prepare(plan, fingerprint):
    """Describe what lies in `data/` today."""
    folder = plan.paths.data / "cifar100"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps({"fingerprint": fingerprint}))


def status(plan):
    """The lines of `kdbench status` that speak of images."""
    return [line.strip() for line in describe(plan.graph, plan.paths) if "images" in line]


def sentences(plan):
    """What the report's first page and the table's page say of other images."""
    page = make_report(plan.graph, plan.paths)
    own = page.parent / "tables/distpro-table1.md"
    lines = [line for text in (page, own) for line in text.read_text().splitlines()]
    return [line for line in lines if "Other images" in line]


def test_nothing_is_said_while_the_images_are_the_same(plan):
    """Nor where the data set is not here, as on a machine that only writes the report."""
    assert status(plan) == sentences(plan) == []

    (plan.paths.data / "cifar100/meta.json").unlink()
    assert status(plan) == sentences(plan) == []


def test_a_data_set_that_was_prepared_again_is_named_with_both_ways_on(plan):
    """By `kdbench status`, on the report's first page and beside the table."""
    prepare(plan, NEWER)
    (line,) = status(plan)

    assert line.startswith(f"cifar100: {plan.paths.data / 'cifar100'} was prepared again")
    assert f"fingerprint {'b' * 12}, not {'a' * 12} as in " in line
    assert "prepare those again, or" in line and "delete results/paper/*/*/cifar100" in line
    assert sentences(plan) == [f"- Other images: {line}."] * 2
    assert "70.66" in (plan.paths.report("paper") / "tables/distpro-table1.md").read_text()


def test_records_that_saw_other_images_than_todays_copy_are_counted(plan):
    """Where the copy was made anew and the records of those after it were left."""
    prepare(plan, NEWER)
    file = record(plan, plan.evaluation.data, NEWER, metrics={"source_fingerprint": NEWER})
    (line,) = status(plan)

    assert line == (
        f"cifar100: 1 finished run saw other images than {file} describes; delete their records "
        "to do them again"
    )
    assert sentences(plan) == [f"- Other images: {line}."] * 2


def test_figures_name_it_as_well(project):
    """Beside what else is to be known of their runs."""
    plan = project(scale="paper")
    search = plan.graph.drawn["distpro/figure6"]["search"]
    plan.search()
    record(plan, search.data, OLDER, metrics={"source_fingerprint": OLDER})
    prepare(plan, NEWER)
    figure = next(e for e in plan.graph.exhibits if e.id == "distpro/figure6")

    assert (
        "was prepared again from other images"
        in render(figure, plan.graph, Records(plan.paths)).body
    )
