"""What the documentation says is true, and it builds without a warning."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from tiny_project import TinyProject

from kdbench.exhibits.protocols import PROTOCOLS
from kdbench.plan.graph import load_graph
from kdbench.runs.check import check

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def page(name):
    """The text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def fenced(text, language):
    """The only fenced block of a language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", text, re.S)
    return block


@pytest.fixture(scope="module")
def reference():
    """The module that writes the reference pages."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["commands.md", "params.md", "declarations.md"])
def test_a_reference_page_says_what_its_source_says(reference, name):
    """Commands follow `--help`, keys follow their schemas; `make reference` writes them anew."""
    assert page(f"reference/{name}") == reference.PAGES[name]()


def test_the_page_of_commands_has_every_command(reference):
    """Those of groups too, each with its options."""
    commands = reference.commands_page()

    assert re.search(r"^## kdbench data prepare$", commands, re.M)
    assert "| `--source` |" in commands


def test_the_network_of_the_page_is_accepted(tmp_path):
    """`kdbench check` builds the two files of docs/own-network.md and tries KD on them."""
    text = page("own-network.md")
    folder = tmp_path / "networks"
    folder.mkdir()
    (folder / "tinynet.py").write_text(fenced(text, "python"))
    (folder / "tinynet.toml").write_text(fenced(text, "toml"))
    table = {"id": "tinynet", "pairs": ["wrn-16-1:tinynet-4"], "methods": ["none", "kd", "ofd"]}
    project = TinyProject(
        tmp_path, plugins=[str(folder)], exhibits=["own"], tables=[table], methods_only=[], pairs=[]
    )

    graph = load_graph(project.root)

    assert check(graph, lambda _: None) == []
    assert any("tinynet-4" in run.cell for run in graph.runs.values())


def test_the_page_of_protocols_has_every_protocol_with_its_numbers():
    """Epochs, batch and reported epoch, as in kdbench/exhibits/protocols.py."""
    rows = {
        row[0]: row
        for row in re.findall(r"^\| `([^`]+)` \| (\d+), (\d+) .*$", page("protocols.md"), re.M)
    }

    assert {name: (int(epochs), int(batch)) for name, epochs, batch in rows.values()} == {
        name: (recipe.epochs, recipe.batch) for name, recipe in PROTOCOLS.items()
    }


def test_versions_agree():
    """Of the package and of the file that says how to cite it."""
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

    assert citation["version"] == package["version"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in package["authors"]
    ]


def test_the_workflow_calls_targets_that_exist():
    """Continuous integration runs the Makefile, nothing of its own."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    called = {name for step in steps for name in re.findall(r"^make ([\w-]+)", step.get("run", ""))}

    assert {"test", "test-all", "docs"} <= called <= targets


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    """Every page is in a contents list, every link leads somewhere."""
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)]

    result = subprocess.run(build, capture_output=True, text=True, check=False)

    assert result.stderr == ""
    assert (tmp_path / "own-network.html").is_file()


def test_the_catalogue_of_snakemake_names_the_deployments_that_the_workflow_has():
    """Containers where the Snakefile names one, conda where a rule has an environment."""
    catalogue = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text("utf-8"))
    files = [ROOT / "Snakefile", *ROOT.glob("rules/*.smk")]
    rules = "".join(path.read_text("utf-8") for path in files)

    deployments = catalogue["usage"]["software-stack-deployment"]
    assert deployments["singularity"] is bool(re.search(r"^container:", rules, re.M))
    assert deployments["conda"] is bool(re.search(r"^\s*conda:", rules, re.M))
    assert deployments["report"] is ("report(" in rules)
