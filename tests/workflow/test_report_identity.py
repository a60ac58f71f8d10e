"""What makes a report another one."""

import shutil

import pytest

from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.workflow import report


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the code that a report's identity is made of, without compiled files."""
    for part in ("report", "papers"):
        shutil.copytree(
            report.PACKAGE / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setattr(report, "PACKAGE", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def graph():
    """A small plan."""
    return make_graph(Params(exhibits=["distpro/figure6"]))


def test_files_that_python_compiles_are_not_part_of_it(package, graph):
    """They are no text, and come and go with every interpreter."""
    before = report.report_digest(graph)
    folder = package / "report/site/__pycache__"
    folder.mkdir()
    (folder / "pages.cpython-311.pyc").write_bytes(b"\xa7\r\r\n")

    assert report.report_digest(graph) == before


@pytest.mark.parametrize(
    "file", ["report/site/static/site.css", "report/site/templates/index.html.jinja",
             "report/site/static/site.js", "report/index.py", "papers/dfa.csv"],
)  # fmt: skip
def test_pages_code_and_printed_numbers_are_part_of_it(package, graph, file):
    """A line more in any of them, and the report is written again."""
    before = report.report_digest(graph)
    with (package / file).open("a", encoding="utf-8") as opened:
        opened.write("\n")

    assert report.report_digest(graph) != before
