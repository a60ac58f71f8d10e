"""The report of a scale as a folder of files."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
from made_up import WITHOUT_LIBRARIES, Project

from kdbench.errors import UserError
from kdbench.report.make import make_report

FIGURE = [f"figures/distpro-figure6{suffix}" for suffix in (".csv", ".md", ".pdf", ".png", ".svg")]
TABLE = [f"tables/distpro-table1{suffix}" for suffix in (".csv", ".md", ".tex")]
SITE = [f"{name}.html" for name in ("cells", "index", "methods", "mine", "running")]
SITE += [
    "cells.csv",
    "metrics.json",
    *(f"assets/{name}" for name in ("early.js", "site.css", "site.js")),
]
PAGES = {name: f"pages/distpro-{name}.html" for name in ("table1", "figure6")}


def files_of(folder):
    """Contents by path inside a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def full(plan):
    """A plan with a finished cell and a finished search."""
    plan.evaluate("DistPro", [70.0, 71.0, 72.0, 73.0, 74.0])
    plan.search()
    return plan


@pytest.fixture(scope="module")
def written_once(tmp_path_factory):
    """The folder of a full plan and its report at scale smoke; never changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WITHOUT_LIBRARIES, lambda _: None)
        plan = full(Project(tmp_path_factory.mktemp("written"), scale="smoke"))
        make_report(plan.graph, plan.paths)
    return plan.paths.root


@pytest.fixture
def written(written_once, project, tmp_path):
    """A copy of it: the plan and the report's page."""
    shutil.copytree(written_once, tmp_path, dirs_exist_ok=True)
    plan = project(scale="smoke")
    return plan, plan.paths.report("smoke") / "README.md"


def test_a_report_is_made_of_an_index_tables_and_figures(written):
    """The folder holds two indices, a table's two files, a figure's three, pages, and no more."""
    _, page = written

    board = "pairs/cifar100-wrn-40-2-wrn-16-2-review-7379bc.html"
    pages = ["README.md", *SITE, *PAGES.values(), board]
    assert sorted(files_of(page.parent)) == sorted([*pages, *FIGURE, *TABLE])


def test_the_same_records_give_the_same_bytes(written):
    """Two reports, the second from scratch, agree in every byte; the page is the index."""
    plan, page = written
    first = files_of(page.parent)
    for name in first:
        (page.parent / name).unlink()

    assert make_report(plan.graph, plan.paths) == page
    assert files_of(page.parent) == first


@pytest.mark.parametrize("scale", ["smoke", "lite", "paper"])
def test_the_banner_opens_every_page_unless_the_scale_is_the_papers(project, scale):
    """At smoke and lite index and table begin with the scale's notice, at paper with a title."""
    plan = project(scale=scale, exhibits=["distpro/table1"])
    plan.evaluate("DistPro", [70.0, 71.0, 72.0])
    page = make_report(plan.graph, plan.paths)

    for path in (page, page.parent / "tables/distpro-table1.md"):
        start = f"> **{plan.graph.scale.notice}**" if scale != "paper" else "# "
        assert path.read_text(encoding="utf-8").startswith(start)
        assert path.read_text(encoding="utf-8").count("> **") == (scale != "paper")


@pytest.mark.parametrize("finished", [True, False])
def test_links_of_the_index_lead_to_files(request, project, finished):
    """Every relative link of the index and of its pages resolves, with and without records."""
    if finished:
        page = request.getfixturevalue("written")[1]
    else:
        plan = project(scale="smoke")
        page = make_report(plan.graph, plan.paths)
    links = {
        file: re.findall(r"\]\(([^)]+)\)", file.read_text(encoding="utf-8"))
        for file in page.parent.rglob("*.md")
    }

    assert len(links[page]) == 2 and sum(map(len, links.values())) >= (8 if finished else 4)
    for file, targets in links.items():
        assert all((file.parent / target).is_file() for target in targets), file


def test_the_index_of_the_whole_plan_is_a_summary(project):
    """All exhibits and claims at scale lite take 200 lines at most."""
    plan = project(scale="lite", exhibits=["all"], datasets=["cifar10", "cifar100", "cinic10"])
    text = make_report(plan.graph, plan.paths).read_text(encoding="utf-8")

    assert text.count("\n") <= 200 and all(e.title in text for e in plan.graph.exhibits)


def test_an_absent_search_gives_no_picture(project):
    """The index says that the search was not run yet, and there is no figure file."""
    plan = project(scale="smoke")
    page = make_report(plan.graph, plan.paths)

    assert "Not run yet: " in page.read_text(encoding="utf-8")
    assert [path.name for path in page.parent.glob("figures/*")] == ["distpro-figure6.md"]
    alone = page.parent / "figures/distpro-figure6.md"
    assert alone.read_text(encoding="utf-8").endswith("\n\n*not run yet*\n")


def test_the_index_counts_runs_and_says_how_to_make_the_rest(written):
    """Two of the planned runs are done; the command for the others names the scale."""
    plan, page = written
    text = page.read_text(encoding="utf-8")

    planned = len(plan.graph.runs)
    assert re.search(rf"\| \*\*all\*\* +\| +2 \| +{planned} \| +1\.0 h \|", text)
    assert f"{planned - 2} of {planned} runs are missing" in text
    assert "snakemake --cores all reproduce_all --config scale=smoke" in text


def test_the_command_for_the_rest_requests_what_this_report_requested(project):
    """It sets every key in which this report differs from params.yaml, quoted for a shell."""
    plan = project(scale="lite", exhibits=["ours/controls"])
    (plan.paths.root / "params.yaml").write_text("scale: smoke\nseeds: 2\n")
    text = make_report(plan.graph, plan.paths).read_text(encoding="utf-8")

    (command,) = [line for line in text.splitlines() if line.startswith("snakemake")]
    words = shlex.split(command)
    assert words[:6] == ["snakemake", "--cores", "all", "reproduce_all", "--config", "scale=lite"]
    assert 'exhibits=["ours/controls"]' in words and "seeds=null" in words


def test_files_without_records_go_and_foreign_files_stay(written):
    """A figure whose search is gone takes its files with it, and only those."""
    plan, page = written
    folder = page.parent
    foreign = ["notes.md", "figures/mine.svg", "figures/distpro-figure6.txt", "pairs/mine.html"]
    for name in foreign:
        (folder / name).write_text("mine")

    for run in plan.graph.behind(plan.graph.exhibits[1]):
        plan.paths.record(run).unlink(missing_ok=True)
    make_report(plan.graph, plan.paths)

    board = "pairs/cifar100-wrn-40-2-wrn-16-2-review-7379bc.html"
    pages = ["README.md", *SITE, *PAGES.values(), board]
    figure = "figures/distpro-figure6.md"
    assert sorted(files_of(folder)) == sorted([*pages, figure, *TABLE, *foreign])


def test_a_report_deletes_nothing_that_another_plan_wrote(project, written):
    """The report of fewer exhibits leaves the others' files, and its index links to them."""
    folder = written[1].parent
    before = files_of(folder)

    smaller = project(scale="smoke", exhibits=["distpro/table1"])
    page = make_report(smaller.graph, smaller.paths).read_text(encoding="utf-8")

    after = files_of(folder)
    assert {name: after[name] for name in FIGURE} == {name: before[name] for name in FIGURE}
    assert "## Not in this report" in page and "](figures/distpro-figure6.md)" in page
    assert "Not in this report" not in before["README.md"].decode()


def test_a_damaged_record_leaves_the_old_report_alone(written):
    """The error is one line, and no file changes."""
    plan, page = written
    folder = page.parent
    before = files_of(folder)
    plan.paths.record(plan.cell("DistPro").evaluation).write_text("{")

    with pytest.raises(UserError) as caught:
        make_report(plan.graph, plan.paths)

    assert "\n" not in str(caught.value) and files_of(folder) == before


def test_overrides_are_named_in_the_banner(project):
    """The index begins with the parameter that params.yaml overrides, and its value."""
    plan = project(scale="paper", methods={"kd": {"temperature": 8.0}})
    text = make_report(plan.graph, plan.paths).read_text(encoding="utf-8")

    assert text.startswith("> **params.yaml overrides methods.kd.temperature = 8.0.**")


def test_the_report_never_imports_torch():
    """All its modules together load no torch and no pandas; the package alone no scipy either."""
    code = (
        "import sys, importlib, pkgutil, kdbench.report as r\n"
        "assert not {'pandas', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "names = [m.name for m in pkgutil.walk_packages(r.__path__, 'kdbench.report.')]\n"
        "assert 'kdbench.report.figures.heat_map' in names\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
