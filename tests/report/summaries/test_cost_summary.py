"""What every method costs beside what it gains."""

import pytest
from finished import evaluate, finished_runs, lines_of, plan_of, rendered

from kdbench.report.readings.cost import read_cost
from kdbench.report.readings.records import Records

FIGURE = "ours/cost"
TOGETHER = "DFA and DistPro together"


def finished(project, *, searches=True):
    """A plan with three finished methods of two seeds; seconds and memory are by phase."""
    plan = plan_of(project, FIGURE, seeds=2)
    for name, top1 in (("student", 70.0), ("KD", 73.0), (TOGETHER, 74.0)):
        spec = plan.graph.drawn[FIGURE][name]
        evaluate(plan, spec, [top1, top1 + 1])
        for run in spec.with_upstream():
            seed = getattr(run, "seed", 0)
            if run.phase == "student":
                seconds = (3600.0 if name == "student" else 7200.0) + 2400 * seed
                cost = {"seconds": seconds, "steps": 1000}
                plan.write(run, cost={**cost, "peak_memory_bytes": 2**30 * (1 + seed)})
            elif run.phase == "search" and searches:
                plan.write(run, cost={"seconds": 1800.0, "steps": 10})
    return plan


def test_multiply_adds_and_memory_are_those_of_the_searches_too(project):
    """Multiply-adds are summed, memory is the largest; a record without a count empties the sum."""
    plan = finished(project)
    spec = plan.graph.drawn[FIGURE][TOGETHER]
    runs = [r for r in spec.with_upstream() if r.phase in ("student", "search")]
    for run in runs:
        factor = 1 + run.seed if run.phase == "student" else 2
        cost = {"macs": 10**12 * factor, "peak_memory_bytes": 2**30 * 3 * factor}
        plan.write(run, cost={"seconds": 10.0, "steps": 10, **cost})

    assert number(plan, TOGETHER, "macs") == 1.5e12 + 2 * 2e12
    assert number(plan, TOGETHER, "peak_memory_bytes") == 6 * 2**30
    plan.write(runs[0], cost={"seconds": 10.0, "steps": 10})
    assert lines(plan)[TOGETHER]["macs"] == ""


def test_wall_time_and_the_teachers_share_stand_beside_the_device_work(project):
    """Wall hours are of training and all searches; a teacher that many runs share counts once."""
    plan = finished(project)
    runs = list(plan.graph.drawn[FIGURE][TOGETHER].with_upstream())
    for run in runs:
        if run.phase in ("student", "search"):
            wall = 3600.0 * (3 if run.phase == "search" else 1 + run.seed)
            plan.write(run, cost={"seconds": 10.0, "steps": 10, "wall_seconds": wall})
    (teacher,) = [run for run in runs if run.phase == "teacher"]
    plan.write(teacher, cost={"seconds": 7200.0, "steps": 10, "macs": 10**15})

    assert number(plan, TOGETHER, "wall_hours") == pytest.approx(1.5 + 2 * 3)
    assert number(plan, TOGETHER, "teacher_hours") == 2.0
    assert number(plan, TOGETHER, "teacher_macs") == 10**15
    assert number(plan, "student", "teacher_hours") == 0.0
    assert lines(plan)["student"]["wall_hours"] == ""


def test_what_an_imported_teacher_cost_is_not_known(project):
    """Both columns of the teacher's training are empty; the student's own costs are not."""
    digest = "a" * 64
    plan = plan_of(project, FIGURE, seeds=2, teachers={"cifar100/wrn-40-2": digest})
    spec = plan.graph.drawn[FIGURE]["KD"]
    evaluate(plan, spec, [73.0, 74.0])
    for run in spec.with_upstream():
        if run.phase in ("teacher", "student"):
            plan.write(run, cost={"seconds": 10.0, "steps": 10, "macs": 10})

    line = lines(plan)["KD"]

    assert line["macs"] == "10.0" and line["teacher_hours"] == line["teacher_macs"] == ""


def lines(plan):
    """The CSV by method."""
    return {line["method"]: line for line in lines_of(plan, FIGURE)}


def number(plan, method, key):
    """One number of the CSV."""
    return float(lines(plan)[method][key])


def test_gains_are_over_the_baseline(project):
    """A gain is a difference of mean accuracies; the baseline itself has none."""
    plan = finished(project)

    assert number(plan, "KD", "gain") == pytest.approx(3.0)
    assert number(plan, TOGETHER, "gain") == pytest.approx(4.0)
    assert lines(plan)["student"]["gain"] == ""
    assert number(plan, "student", "top1") == 70.5


def test_training_is_measured_in_the_students_records(project):
    """Seconds per epoch are a mean over seeds; the time of a step is relative to the baseline's."""
    plan = finished(project)

    assert number(plan, "student", "seconds_per_epoch") == pytest.approx(4800 / 240)
    assert number(plan, "student", "seconds_per_step") == pytest.approx(4.8)
    assert number(plan, "KD", "step_relative") == pytest.approx(8400 / 4800)
    assert number(plan, "student", "step_relative") == 1.0
    assert number(plan, "KD", "peak_memory_bytes") == 2**31


def test_every_search_behind_a_method_counts_once(project):
    """Two methods together have the time of two searches, though two seeds read each."""
    plan = finished(project)

    assert number(plan, TOGETHER, "search_seconds") == 3600.0
    assert number(plan, "KD", "search_seconds") == 0.0
    assert number(plan, TOGETHER, "total_hours") == pytest.approx((8400 + 3600) / 3600)
    assert number(plan, TOGETHER, "points_per_hour") == pytest.approx(4.0 / (12000 / 3600))


def test_without_a_searchs_record_there_is_no_total(project):
    """Search time, total and points per hour are empty while a search has no record."""
    line = lines(finished(project, searches=False))[TOGETHER]

    assert (line["search_seconds"], line["total_hours"], line["points_per_hour"]) == ("", "", "")


def test_an_evaluation_alone_gives_its_accuracy(project):
    """Where the records behind it are absent, it has no times and no gain."""
    plan = plan_of(project, FIGURE, seeds=2)
    evaluate(plan, plan.graph.drawn[FIGURE]["KD"], [73.0, 74.0])
    spec, record = finished_runs(plan, FIGURE)["KD"]

    cost = read_cost("KD", spec, record, Records(plan.paths))

    assert (cost.accuracy.mean, cost.epoch, cost.step, cost.total) == (73.5, None, None, None)
    assert lines(plan)["KD"]["gain"] == ""


def test_there_is_no_image_and_the_note_warns(project):
    """The only file is the CSV; the section names the baseline and warns of shared machines."""
    part = rendered(finished(project), FIGURE)

    assert sorted(part.files) == ["tables/ours-cost.csv", "tables/ours-cost.md"]
    assert "![" not in part.body and "are not comparable with one another" in part.body
    assert "over the row student" in part.body and "1.75" in part.body
