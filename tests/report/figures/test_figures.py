"""What holds of all figures: equal bytes, the notice in the image, a CSV beside it."""

import pytest
from finished import carve, evaluate, finished_runs, plan_of, rendered, search
from matplotlib.style import context
from sampling import sampled

from kdbench.report.figures.correlation_figure import draw as draw_correlation
from kdbench.report.figures.drawing import STYLE, matrix, png, sheet, svg
from kdbench.report.figures.drop_figure import draw as draw_drop
from kdbench.report.figures.heat_map import draw as draw_heat_map
from kdbench.report.figures.penalty_figure import draw as draw_penalty
from kdbench.report.figures.similarity_figure import draw as draw_similarity
from kdbench.report.figures.size_figure import draw as draw_size
from kdbench.report.figures.size_figure import read_point
from kdbench.report.readings.aggregation import read_aggregation
from kdbench.report.readings.banner import banner
from kdbench.report.readings.course import read_course
from kdbench.report.readings.dropped import read_blocks
from kdbench.report.readings.sweep import read_sweep

ROWS = [[0.5, 0.5], [0.2, 0.8]]


def heat_map(plan, runs, *heading):
    """Draws searched aggregation weights."""
    return draw_heat_map([read_aggregation(n, s, r) for n, (s, r) in runs.items()], *heading)


def size_figure(plan, runs, *heading):
    """Draws error against size."""
    return draw_size([read_point(plan.graph, n, r) for n, (_, r) in runs.items()], *heading)


def correlation_figure(plan, runs, *heading):
    """Draws a parameter against error."""
    return draw_correlation(read_sweep(runs, "kl0_share"), "kl0_share", *heading)


def penalty_figure(plan, runs, *heading):
    """Draws a penalty against epochs and error."""
    return draw_penalty(read_sweep(runs, "lambda_2"), *heading)


def drop_figure(plan, runs, *heading):
    """Draws removed channels."""
    return draw_drop({n: read_blocks(r) for n, (_, r) in runs.items()}, *heading)


def similarity_figure(plan, runs, *heading):
    """Draws correlations of processes."""
    return draw_similarity([read_course(n, r) for n, (_, r) in runs.items()], *heading)


FIGURES = {
    "dfa/weights": heat_map,
    "sbs/figure3": size_figure,
    "sbs/figure4": correlation_figure,
    "sbs/figure5": drop_figure,
    "sbs/figure6": penalty_figure,
    "distpro/similarity": similarity_figure,
}


def finished(project, exhibit, scale="smoke"):
    """A plan with the first two runs of a figure."""
    plan = plan_of(project, exhibit, scale=scale)
    names = ["g1-b1", "g1-b2"] if exhibit == "dfa/weights" else ["t1-s1-a", "t2-s1-a"]
    for spec in list(plan.graph.drawn[exhibit].values())[:2]:
        if spec.phase == "evaluation":
            evaluate(plan, spec, [70.0, 72.0])
        elif exhibit.startswith("sbs"):
            carve(plan, spec)
        else:
            search(plan, spec, names, ROWS)
    return plan


@pytest.mark.parametrize("exhibit", sampled(FIGURES, ("dfa/weights", "sbs/figure4")))
def test_two_drawings_are_the_same_bytes_and_bear_the_notice(project, exhibit):
    """Neither dates nor random ids enter the files; the notice is in the image."""
    plan = finished(project, exhibit)
    notice = banner(plan.graph)
    runs = finished_runs(plan, exhibit)

    one, two = (FIGURES[exhibit](plan, runs, "a title", notice) for _ in range(2))

    texts = [text.get_text().replace("\n", " ") for text in one.texts]
    assert texts[:2] == ["a title", notice] and "NOT comparable" in notice
    assert svg(one, "x") == svg(two, "x") and png(one) == png(two)


@pytest.mark.parametrize("exhibit", FIGURES)
def test_the_report_gets_image_numbers_and_table(project, exhibit):
    """A figure gives three files; its section has a table, the missing runs and the footer."""
    plan = finished(project, exhibit)

    part = rendered(plan, exhibit)

    slug = exhibit.replace("/", "-")
    assert sorted(part.files) == [
        f"figures/{slug}.{kind}" for kind in ("csv", "md", "pdf", "png", "svg")
    ]
    assert part.files[f"figures/{slug}.png"].startswith(b"\x89PNG")
    assert part.files[f"figures/{slug}.svg"].startswith(b"<?xml")
    planned = len(plan.graph.drawn[exhibit])
    missing = f"*{planned - 2} of {planned} runs are not run yet.*"
    assert (missing in part.body) == (planned > 2)
    assert "| ---" in part.body and "*Made with" in part.body


def test_a_long_title_is_wrapped_and_kept_whole():
    """The sheet grows with the title, which stays on it and over the notice."""
    title = "many words " * 20

    with context(["default", STYLE]):
        short, long = (sheet(5.0, 3.0, text, "notice") for text in ("word", title.strip()))
        heading, notice = long.texts
    assert heading.get_text().replace("\n", " ") == title.strip() and "\n" in heading.get_text()
    assert long.get_figheight() > short.get_figheight() > 3.0
    box = heading.get_window_extent(), notice.get_window_extent()
    assert box[0].x1 <= long.bbox.x1 and box[0].y0 > box[1].y1 - 1


def test_a_matrix_writes_readable_values():
    """Text is white on dark cells, black on light ones; blank cells and an empty form have none."""
    figure = sheet(3.0, 3.0, "title", "")
    axes, bare = figure.subplots(1, 2)

    matrix(axes, [[0.0, 1.0], [None]], form="{:.1f}")
    matrix(bare, [[0.0]], form="")

    written = {t.get_text(): (t.get_color(), t.get_position()) for t in axes.texts}
    assert written == {"0.0": ("white", (0, 0)), "1.0": ("black", (1, 0))}
    assert not bare.texts
