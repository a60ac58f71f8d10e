"""Test error against size."""

import pytest
from finished import body_of, evaluate, finished_runs, lines_of, plan_of

from kdbench.errors import BadValue
from kdbench.exhibits.keys import NetworkRole, SizeKey
from kdbench.report.figures.size_figure import draw, read_point

FIGURE = "sbs/figure3"
SEARCHED = NetworkRole.SEARCHED


def finished(project, **more):
    """A plan with the teacher of CIFAR-10 and the twins of two students."""
    plan = plan_of(project, FIGURE)
    specs = plan.graph.drawn[FIGURE]
    evaluate(
        plan,
        specs[SizeKey("CIFAR-10", NetworkRole.TEACHER, distilled=False)],
        [95.0],
        parameters=770_000,
    )
    evaluate(
        plan, specs[SizeKey("CIFAR-10", SEARCHED, distilled=False)], [93.0, 94.0, 95.0], **more
    )
    evaluate(
        plan,
        specs[SizeKey("CIFAR-10", SEARCHED, distilled=True)],
        [95.0],
        parameters=700_000,
        **more,
    )
    evaluate(plan, specs[SizeKey("CIFAR-10", "vgg-sbs", distilled=False)], [92.0])
    evaluate(plan, specs[SizeKey("CIFAR-10", "vgg-sbs", distilled=True)], [91.0])
    evaluate(plan, specs[SizeKey("CIFAR-100", SEARCHED, distilled=False)], [70.0])
    return plan


def points(plan):
    """What the figure draws."""
    return [read_point(plan.graph, n, r) for n, (_, r) in finished_runs(plan, FIGURE).items()]


def drawn_in(plan):
    """Axes of the panels by label."""
    return {axes.get_label(): axes for axes in draw(points(plan), "title", "").axes}


def test_a_point_is_the_mean_error_at_its_size(project):
    """Its error is 100 minus the mean accuracy, its sizes are millions of parameters and FLOPs."""
    panels = drawn_in(finished(project))

    parameters = {line.get_label(): line for line in panels["CIFAR-10, parameters"].lines}
    flops = {line.get_label(): line for line in panels["CIFAR-10, flops"].lines}

    label = "found by the search, scratch"
    assert parameters[label].get_xydata().tolist() == [[0.8, 6.0]]
    assert flops[label].get_xydata().tolist() == [[90.0, 6.0]]
    assert parameters["teacher, scratch"].get_xydata().tolist() == [[0.77, 5.0]]


def test_the_reported_epoch_is_read(project):
    """Where the best epoch is reported, its accuracies count."""
    plan = plan_of(project, FIGURE)
    run = {"last": {"top1": 90.0}, "best": {"top1": 92.0}}
    spec = plan.graph.drawn[FIGURE][SizeKey("CIFAR-10", SEARCHED, distilled=False)]
    evaluate(plan, spec, [], reported="best", runs=[run])

    assert points(plan)[0].error.mean == 8.0


def test_circles_are_from_scratch_and_crosses_distilled(project):
    """Twins share a colour, which the teacher does not have."""
    lines = {x.get_label(): x for x in drawn_in(finished(project))["CIFAR-10, flops"].lines}
    one, other = lines["found by the search, scratch"], lines["found by the search, distilled"]

    assert (one.get_marker(), other.get_marker()) == ("o", "X")
    assert one.get_color() == other.get_color() != lines["teacher, scratch"].get_color()


def test_no_two_students_look_alike(project):
    """The 19 points of ten networks have 19 combinations of colour, fill and marker."""
    plan = plan_of(project, FIGURE)
    for spec in plan.graph.drawn[FIGURE].values():
        evaluate(plan, spec, [90.0])

    lines = drawn_in(plan)["CIFAR-100, parameters"].lines
    looks = {(x.get_color(), x.get_markerfacecolor(), x.get_marker()) for x in lines}

    assert len(looks) == len(lines) == 19


def test_each_data_set_has_its_own_panels(project):
    """Parameters and FLOPs have a panel each, with the points of that data set alone."""
    panels = drawn_in(finished(project))

    assert list(panels) == [
        f"{d}, {k}" for d in ("CIFAR-10", "CIFAR-100") for k in ("parameters", "flops")
    ]
    assert len(panels["CIFAR-100, flops"].lines) == 1


def test_old_records_are_missing_from_the_panels_of_flops(project):
    """Points without a count with elements are not drawn over FLOPs, and a note counts them."""
    plan = plan_of(project, FIGURE)
    spec = plan.graph.drawn[FIGURE][SizeKey("CIFAR-10", SEARCHED, distilled=False)]
    run = {"last": {"top1": 90.0}, "best": {"top1": 92.0}}
    plan.write(spec, {"reported": "last", "runs": [run], "parameters": 800_000})

    panels = drawn_in(plan)

    assert [len(axes.lines) for axes in panels.values()] == [1, 0]
    assert "1 of 1 points are missing" in body_of(plan, FIGURE)
    assert "points are missing" not in body_of(finished(project), FIGURE)


def test_the_table_says_who_is_below_its_twin(project):
    """The last column says yes or no, and nothing where a twin is missing."""
    lines = [
        [part.strip() for part in line.split("|")[1:-1]]
        for line in body_of(finished(project), FIGURE).splitlines()
        if line.startswith("| CIFAR")
    ]

    assert [(x[0], x[1], x[-1]) for x in lines] == [
        ("CIFAR-10", "teacher", ""),
        ("CIFAR-10", "found by the search", "yes"),
        ("CIFAR-10", "VGG (reduced)", "no"),
        ("CIFAR-100", "found by the search", ""),
    ]
    assert lines[1][4:6] == ["6.00 ± 1.00 (3)", "5.00 (1)"]


def test_the_csv_has_one_line_per_point(project):
    """A line has error, spread and number of seeds."""
    lines = lines_of(finished(project), FIGURE)

    assert len(lines) == 6
    assert (lines[1]["test_error"], lines[1]["std"], lines[1]["n"]) == ("6.0", "1.0", "3")


def test_a_key_without_parts_is_refused(project):
    """The error says which key it met, and of what class a key must be."""
    plan = finished(project)
    record = next(iter(finished_runs(plan, FIGURE).values()))[1]

    with pytest.raises(BadValue, match="found 'CIFAR-10', expected keys that are a SizeKey"):
        read_point(plan.graph, "CIFAR-10", record)
