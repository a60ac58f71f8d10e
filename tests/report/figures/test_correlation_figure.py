"""A search's parameter against the test error of what it finds."""

import pytest
from finished import body_of, carve, evaluate, finished_runs, lines_of, plan_of

from kdbench.errors import BadValue
from kdbench.exhibits.keys import SweepKey
from kdbench.report.figures.correlation_figure import draw, in_words
from kdbench.report.readings.statistics import correlation
from kdbench.report.readings.sweep import Try, read_sweep

FIGURE = "sbs/figure4"


def finished(project, errors, met=True):
    """A plan whose searches, and students of these errors, are finished, by kl0."""
    plan = plan_of(project, FIGURE)
    specs = plan.graph.drawn[FIGURE]
    for key, spec in specs.items():
        if not key.students:
            carve(plan, spec, met=met, largest_kl=2.5)
    for value, of_seeds in errors.items():
        evaluate(plan, specs[SweepKey(value, students=True)], [100 - e for e in of_seeds])
    return plan


def test_points_are_the_searchs_parameter_and_the_mean_error(project):
    """Tries have the searches' values in order; those without a finished student are not drawn."""
    plan = finished(project, {0.25: [5.0, 6.0], 1.0: [8.0]})

    tries = read_sweep(finished_runs(plan, FIGURE), "kl0_share")

    assert [t.x for t in tries] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [t.error.mean if t.error else None for t in tries] == [None, 5.5, None, None, 8.0]
    places = [
        c.lines[0].get_xydata().tolist()
        for c in draw(tries, "kl0_share", "t", "").axes[0].containers
    ]
    assert places == [[[0.25, 5.5]], [[1.0, 8.0]]]


def test_the_correlation_is_pearsons_beside_the_published_one():
    """Of four points it is 2.5 / sqrt(5 · 2.75), worked by hand."""
    tries = [Try(float(x), None, [y]) for x, y in enumerate([1.0, 2.0, 1.0, 3.0])]

    text = in_words(tries, 0.8896)

    assert "0.6742" in text and "n = 4" in text and "published: 0.8896" in text
    assert correlation([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 1.0, 3.0]).p == pytest.approx(
        0.3258, abs=1e-4
    )


@pytest.mark.parametrize(
    ("ys", "why"), [([1.0, 2.0], "2 of at least 3 points"), ([1.0, 1.0, 1.0], "a constant value")]
)
def test_an_undefined_correlation_is_printed_with_its_reason(ys, why):
    """Two points, or values that do not vary, have no correlation."""
    tries = [Try(float(x), None, [y]) for x, y in enumerate(ys)]

    assert f"not defined ({why}); published: 0.9." in in_words(tries, 0.9)


def test_the_body_lists_every_value(project):
    """Each value has a line, finished or not; a note warns only where a budget was not met."""
    met = body_of(finished(project, {0.25: [5.0]}), FIGURE)
    unmet = body_of(finished(project, {}, met=False), FIGURE)

    assert "0.000 | 5.00 (1)" in met and "not run yet" in met and "2.500" in met
    assert "no fair point" in unmet and "no fair point" not in met


def test_the_csv_has_one_line_per_value(project):
    """A value without a finished student has an empty error."""
    lines = lines_of(finished(project, {0.25: [5.0, 6.0]}), FIGURE)

    assert [x["kl0_share"] for x in lines] == ["0.0", "0.25", "0.5", "0.75", "1.0"]
    assert (lines[1]["test_error"], lines[1]["n"], lines[0]["test_error"]) == ("5.5", "2", "")


def test_an_unknown_parameter_is_refused(project):
    """The error names the parameters that the search has."""
    plan = finished(project, {})

    with pytest.raises(BadValue, match=r"found 'kl1', expected one of .*kl0"):
        read_sweep(finished_runs(plan, FIGURE), "kl1")


def test_a_run_that_no_search_pruned_is_refused(project):
    """Only searches and the students that they pruned belong to a sweep."""
    plan = finished(project, {})
    (_, record), *_ = finished_runs(plan, FIGURE).values()
    (teacher, *_) = (run for run in plan.graph.runs.values() if run.phase == "teacher")

    with pytest.raises(BadValue, match="students that one pruned"):
        read_sweep({"teacher 1": (teacher, record)}, "kl0_share")


def test_tries_are_sorted_by_value(project):
    """Tries rise by value, whatever the order of the runs."""
    runs = finished_runs(finished(project, {}), FIGURE)

    tries = read_sweep(dict(reversed(runs.items())), "kl0_share")

    assert [t.x for t in tries] == [0.0, 0.25, 0.5, 0.75, 1.0]
