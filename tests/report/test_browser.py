"""The report in a real browser: Chromium, driven by Playwright, from files alone."""

import shutil
from pathlib import Path

import pytest
from made_up import Project
from synthetic import TABLES, fill

from kdbench.report.make import make_report

pytestmark = pytest.mark.slow
SERIOUS = {"serious", "critical"}
TABLE = "pages/distpro-table1.html"
LOCAL = ("file:", "data:", "blob:")


@pytest.fixture(scope="module")
def browser():
    """Chromium of the system, or Playwright's own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
    pytest.importorskip("itables", reason="itables is not installed")
    with sync_api.sync_playwright() as playwright:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        if not Path(path).is_file():
            pytest.skip("no browser: apt install chromium, or playwright install chromium")
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report at the paper's scale with two thirds of its cells."""
    params = {"scale": "paper", "exhibits": TABLES, "datasets": ["cifar100"], "seeds": 3}
    plan = Project(tmp_path_factory.mktemp("site"), **params)
    fill(plan.graph, plan.paths, share=0.66)
    return make_report(plan.graph, plan.paths).parent


class Visit:
    """A page, and all that it logged and asked for."""

    def __init__(self, browser, folder, width=1280):
        self.folder, self.errors, self.requests = folder, [], []
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._log)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _log(self, message):
        if message.type == "error":
            self.errors.append(message.text)

    def go(self, name):
        """Open a page of the report."""
        self.page.goto(
            f"{(self.folder / name.partition('#')[0]).as_uri()}{name[name.find('#') :]}"
            if "#" in name
            else (self.folder / name).as_uri()
        )
        return self.page

    def fine(self):
        """Nothing was logged as an error, and no request left the machine."""
        return not self.errors and all(url.startswith(LOCAL) for url in self.requests)


@pytest.fixture
def visit(browser, folder):
    """A page at desktop width."""
    one = Visit(browser, folder)
    yield one
    one.page.close()


def column(page, number, table="table.sortable"):
    """Sorting keys of the shown cells of a column."""
    cells = page.locator(f"{table} tbody tr > :nth-child({number})")
    keys = [cell.get_attribute("data-order") for cell in cells.all()]
    return [float(key) for key in keys if key]


def test_a_click_on_a_head_sorts_by_our_means(visit):
    """Once rising, again falling."""
    page = visit.go(TABLE)
    head = page.locator("table.grid thead th").nth(1)

    head.click()
    rising = column(page, 2)
    head.click()
    falling = column(page, 2)

    assert len(rising) > 3 and rising == sorted(rising) and falling == sorted(rising)[::-1]
    assert head.get_attribute("aria-sort") == "descending" and visit.fine()


def test_filters_and_search_keep_what_they_name(visit):
    """A filter keeps one standing, a link of the first page sets it, a search keeps its rows."""
    page = visit.go("cells.html#paper=distpro&standing=reproduced")
    shown = page.locator("table.cells tbody tr")
    standings = {row.get_attribute("data-standing") for row in shown.all()}
    papers = {row.get_attribute("data-paper") for row in shown.all()}

    page.locator("[data-filter=standing]").select_option("")
    page.locator("[data-filter=paper]").select_option("")
    page.locator("input[type=search]").fill("ReviewKD")

    assert standings == {"reproduced"} and papers == {"distpro"}
    assert all("ReviewKD" in row.inner_text() for row in shown.all()) and visit.fine()


def test_a_cell_opens_with_its_curves_and_closes_by_the_keyboard(visit):
    """Enter opens it, the chart is drawn once, Escape gives the focus back."""
    page = visit.go(TABLE)
    button = page.locator("button.open").first
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")

    dialog.locator(".vega svg").first.wait_for()

    assert "snakemake --cores all" in dialog.inner_text() and dialog.locator("meter").count()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert button.evaluate("node => node === document.activeElement") and visit.fine()


def test_an_address_with_a_cell_opens_it(visit):
    """A link of another page leads into the cell."""
    page = visit.go("cells.html")
    target = page.locator("table.cells tbody a").first
    row = target.inner_text()

    target.click()

    assert row in page.locator("dialog[open] h2").inner_text() and visit.fine()


def test_the_epoch_switch_changes_numbers_and_their_order(visit):
    """Last epochs are 0.2 points below the best ones here, and the choice lasts."""
    page = visit.go(TABLE)
    best = column(page, 2)

    page.locator("#rule").select_option("last")
    last = column(page, 2)
    page.reload()

    assert [round(b - value, 3) for b, value in zip(best, last, strict=True)] == [0.2] * len(best)
    assert page.locator("#rule").input_value() == "last" and column(page, 2) == last
    assert page.locator("td.cell .rule-last").first.is_visible()
    assert not page.locator("td.cell .rule-best").first.is_visible() and visit.fine()


def test_dark_mode_lasts_over_pages(visit):
    """A button switches, the next page has the same colours."""
    page = visit.go("index.html")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    visit.go("methods.html")

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    assert page.locator("#theme").get_attribute("aria-pressed") == "true" and visit.fine()


def test_no_page_is_wider_than_a_phone_and_none_logs_or_asks(browser, folder):
    """At 390 pixels every page scrolls downwards alone; tables scroll in themselves."""
    visit = Visit(browser, folder, width=390)
    for path in sorted(folder.rglob("*.html")):
        page = visit.go(path.relative_to(folder).as_posix())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    assert visit.fine(), (visit.errors, visit.requests)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["index.html", "cells.html", "methods.html", TABLE, "pairs", "#"])
def test_axe_finds_nothing_serious(visit, name, dark):
    """On every kind of page, in both colour schemes, and in an open cell."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit.page
    page.emulate_media(color_scheme="dark" if dark else "light")
    if name == "pairs":
        name = next((visit.folder / "pairs").glob("*.html")).relative_to(visit.folder).as_posix()
    visit.go(TABLE if name == "#" else name)
    if name == "#":
        page.locator("button.open").first.click()
        page.locator("dialog[open] .vega svg").first.wait_for()

    found = axe.Axe().run(page).response["violations"]

    assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in SERIOUS] == []
