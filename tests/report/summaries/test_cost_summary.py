"""What every method costs beside what it gains."""

import pytest
from finished import evaluate, found_runs, lines_of, plan_of, rendered

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
    """Added up, and the largest; where one record lacks its count, there is no sum."""
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
    """Wall time of training and all searches; a teacher that students and searches share once."""
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
    """Its record holds the seconds of its test, which are no training."""
    digest = "a" * 64
    plan = plan_of(project, FIGURE, seeds=2, teachers={"cifar100/wrn-40-2": digest})
    spec = plan.graph.drawn[FIGURE]["KD"]
    evaluate(plan, spec, [73.0, 74.0])
    for run in spec.with_upstream():
        if run.phase in ("teacher", "student"):
            plan.write(run, cost={"seconds": 10.0, "steps": 10, "macs": 10})

    found = lines(plan)["KD"]

    assert found["macs"] == "10.0" and found["teacher_hours"] == found["teacher_macs"] == ""


def lines(plan):
    """The CSV by method."""
    return {line["method"]: line for line in lines_of(plan, FIGURE)}


def number(plan, method, key):
    """One number of the CSV."""
    return float(lines(plan)[method][key])


def test_gains_are_over_the_baseline(project):
    """Of mean accuracies; the baseline itself has none."""
    plan = finished(project)

    assert number(plan, "KD", "gain") == pytest.approx(3.0)
    assert number(plan, TOGETHER, "gain") == pytest.approx(4.0)
    assert lines(plan)["student"]["gain"] == ""
    assert number(plan, "student", "top1") == 70.5


def test_training_is_measured_in_the_students_records(project):
    """Seconds an epoch are a mean over seeds, the time of a step is relative to the baseline."""
    plan = finished(project)

    assert number(plan, "student", "seconds_per_epoch") == pytest.approx(4800 / 240)
    assert number(plan, "student", "seconds_per_step") == pytest.approx(4.8)
    assert number(plan, "KD", "step_relative") == pytest.approx(8400 / 4800)
    assert number(plan, "student", "step_relative") == 1.0
    assert number(plan, "KD", "peak_memory_bytes") == 2**31


def test_the_searches_count(project):
    """Both of two methods together, once though two seeds read them."""
    plan = finished(project)

    assert number(plan, TOGETHER, "search_seconds") == 3600.0
    assert number(plan, "KD", "search_seconds") == 0.0
    assert number(plan, TOGETHER, "total_hours") == pytest.approx((8400 + 3600) / 3600)
    assert number(plan, TOGETHER, "points_per_hour") == pytest.approx(4.0 / (12000 / 3600))


def test_without_a_searchs_record_there_is_no_total(project):
    """Half of the work would pass for the whole."""
    found = lines(finished(project, searches=False))[TOGETHER]

    assert (found["search_seconds"], found["total_hours"], found["points_per_hour"]) == ("", "", "")


def test_an_evaluation_alone_gives_its_accuracy(project):
    """What stands behind it may be on another machine."""
    plan = plan_of(project, FIGURE, seeds=2)
    evaluate(plan, plan.graph.drawn[FIGURE]["KD"], [73.0, 74.0])
    spec, record = found_runs(plan, FIGURE)["KD"]

    cost = read_cost("KD", spec, record, Records(plan.paths))

    assert (cost.accuracy.mean, cost.epoch, cost.step, cost.total) == (73.5, None, None, None)
    assert lines(plan)["KD"]["gain"] == ""


def test_there_is_no_image_and_the_note_warns(project):
    """A table under the heading, and a CSV."""
    part = rendered(finished(project), FIGURE)

    assert list(part.files) == ["tables/ours-cost.csv"]
    assert "![" not in part.body and "are not comparable with one another" in part.body
    assert "over the row student" in part.body and "1.75" in part.body
