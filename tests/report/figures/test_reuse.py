"""Images are drawn where something that they show has changed, and only there."""

from dataclasses import replace

import pytest
from sampling import sampled

from kdbench.exhibits.tables import Figure
from kdbench.report.figures import process_figure, reuse
from kdbench.report.make import make_report
from kdbench.report.readings.records import Records
from kdbench.report.render import present


@pytest.fixture(name="plan")
def with_a_figure(project):
    """A plan of a figure whose search is finished."""
    plan = project(scale="smoke", exhibits=["distpro/figure6"])
    plan.search()
    return plan


@pytest.fixture(name="drawn")
def count(monkeypatch):
    """Titles of the figures that are drawn."""
    titles, draw = [], process_figure.draw

    def counting(process, title, notice):
        titles.append(title)
        return draw(process, title, notice)

    monkeypatch.setattr(process_figure, "draw", counting)
    return titles


def images(plan):
    """Contents of the images of a new report, by name."""
    folder = make_report(plan.graph, plan.paths).parent / "figures"
    return {
        p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".svg", ".png", ".pdf")
    }


def test_a_second_report_draws_nothing(plan, drawn):
    """All three images stay as they are."""
    first = images(plan)
    second = images(plan)

    assert len(drawn) == 1 and second == first and len(first) == 3


@pytest.mark.slow
def test_another_record_is_drawn(plan, drawn):
    """Its seal is in what the image names."""
    first = images(plan)
    plan.search(listed=4)

    assert len({*first.values(), *images(plan).values()}) == 6 and len(drawn) == 2


@pytest.mark.parametrize("kind", sampled(reuse.KINDS, ["svg"]))
def test_an_image_that_is_gone_is_drawn_again(plan, drawn, kind):
    """With the bytes that it had."""
    first = images(plan)
    (plan.paths.report("smoke") / f"figures/distpro-figure6.{kind}").unlink()

    assert images(plan) == first and len(drawn) == 2


@pytest.mark.slow
def test_an_image_of_another_source_is_drawn_again(plan, drawn):
    """Also where its SVG names none."""
    first = images(plan)
    file = plan.paths.report("smoke") / "figures/distpro-figure6.svg"
    file.write_text(file.read_text().replace("dc:identifier", "dc:other"))

    assert images(plan) == first and len(drawn) == 2


@pytest.mark.parametrize("what", ["title", "notice", "code", "matplotlib"])
def test_what_an_image_shows_and_what_draws_it_are_in_its_source(plan, monkeypatch, what):
    """Title, notice, our code and the library's version."""
    (figure,) = (exhibit for exhibit in plan.graph.exhibits if isinstance(exhibit, Figure))
    records = Records(plan.paths)
    runs = records.finished(plan.graph.drawn[figure.id])
    shown = present(figure, plan.graph, runs, records)
    before = reuse.source_of(figure, plan.graph, runs, shown)
    figure = replace(figure, title="Another") if what == "title" else figure
    patches = {"notice": ("banner", "x"), "code": ("_code", "x"), "matplotlib": ("version", "x")}
    if what in patches:
        name, value = patches[what]
        monkeypatch.setattr(reuse, name, lambda *_: value)

    assert reuse.source_of(figure, plan.graph, runs, shown) != before
