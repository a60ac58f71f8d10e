"""docs/zoo.md is what the command would write."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.cli import networks_page as zoo
from kdbench.errors import UserError
from kdbench.plan.components import find_components

REPOSITORY = Path(__file__).parents[2]
MAPS = "16@32×32 16@32×32 32@16×16 64@8×8"  # of resnet8

pytestmark = pytest.mark.slow  # half a minute for all networks; single ones are in tests/models


@pytest.fixture(scope="module")
def today():
    """The page as the declarations give it, measured once."""
    return zoo.compose(zoo.package_networks())


@pytest.fixture
def project(tmp_path, monkeypatch, today):
    """A folder with today's page, where asking for it again costs nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo, "compose", lambda networks: today)
    zoo.write_zoo()
    return tmp_path


def rows(page, title):
    """Cells of a table's rows by the network's name."""
    (section,) = [part for part in page.split("\n## ") if part.startswith(title)]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_the_page_is_up_to_date(today):
    """After a change of a network or a declaration: `kdbench zoo`."""
    written = (REPOSITORY / zoo.FILE).read_text(encoding="utf-8")
    first = next(zoo._differences(written, today), None)

    assert written == today, f"run kdbench zoo: line, found, expected: {first}"


def test_every_example_is_listed_once(today):
    """At its native size: 32×32 with 100 classes, or 224×224 with 1000; by pixel at its task's."""
    components = find_components()
    names = [c.name for c in zoo.package_networks()]
    small, large = rows(today, "32 × 32 pixels"), rows(today, "224 × 224 pixels")
    dense = rows(today, "Segmentation, 512 × 512 pixels") | rows(today, "Depth, 228 × 304 pixels")

    assert len(names) >= 25
    assert sorted([*small, *large, *dense]) == sorted(set(names)) == sorted(names)
    for name in large:
        declared = components.get("network", name, where="test").declaration
        assert declared.image == [3, 224, 224]


@pytest.mark.parametrize(
    ("title", "name", "expected"),
    [
        ("32", "resnet8", ["ResNet8", "83,892", "12.51", "12.67", MAPS]),
        ("32", "densenet-bc-100-12", ["DenseNet-BC(100, 12)", "800,032", "287.96", "296.51"]),
        ("224", "resnet50", ["ResNet50", "25,557,032", "4089.18"]),
        ("224", "deit-tiny", ["DeiT-tiny", "5,717,416", "1253.68", "1253.68"]),
        ("SBS", "densenet-bc-100-12", ["DenseNet-BC(100, 12)", "769,162", "287.93", "296.48"]),
    ],
)
def test_known_figures_are_in_their_columns(today, title, name, expected):
    """Parameters and both counts in millions, as published."""
    assert rows(today, title)[name][: len(expected)] == expected


def test_pooled_width_and_source_follow(today):
    """The last two columns; sources are numbered below."""
    cells = rows(today, "224")["mobilenet-v2"]
    listed = dict(re.findall(r"^(\d+)\. (.*)$", today, re.M))

    assert cells[-2] == "1280"
    assert listed[cells[-1]].startswith("Sandler et al., MobileNetV2")


def test_sbs_has_a_table_of_ten_classes(today):
    """Its teacher first, then its DenseNets and what was sized for it, all from declarations."""
    listed = list(rows(today, "SBS"))
    names = [c.name for c in zoo.package_networks()]

    assert listed[0] == "densenet-bc-100-12"
    assert set(listed) == {n for n in names if n.endswith("-sbs") or n.startswith("densenet-bc-")}


def test_both_conventions_are_named(today):
    """The page says what is counted, who counts so, and how it is made."""
    header = today.split("\n## ")[0]

    for phrase in ("kdbench zoo", "multiply-adds", "with elements", "attention", "296 M", "`macs`"):
        assert phrase in header


def test_networks_are_sorted_by_number(today):
    """resnet8 stands before resnet20, and that before resnet110."""
    numbered = [name for name in rows(today, "32") if re.fullmatch(r"resnet\d+", name)]

    assert len(numbered) > 5
    assert numbered == sorted(numbered, key=lambda name: int(name.removeprefix("resnet")))


def test_an_up_to_date_page_passes_the_check(project):
    """The command says so, and writes nothing."""
    before = (project / zoo.FILE).stat().st_mtime_ns
    done = CliRunner().invoke(app, ["zoo", "--check"])

    assert (done.exit_code, done.output.splitlines()) == (0, ["docs/zoo.md: up to date"])
    assert (project / zoo.FILE).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("| 83,892 |", "| 83,893 |", "found '83,893', expected '83,892'; run kdbench zoo"),
        ("| `resnet8` |", "| `resnet9` |", "found '`resnet9`', expected '`resnet8`'"),
        ("# Networks", "# Nets", r"docs/zoo.md, line 1: found '# Nets', expected '# Networks'"),
        ("| 12.67 |", "|  12.67 |", "run kdbench zoo"),
        ("\n## Sources", "", "run kdbench zoo"),
    ],
)
def test_a_difference_is_noticed(project, today, old, new, message):
    """In one line that names the place, what was found and what was expected."""
    assert old in today
    (project / zoo.FILE).write_text(today.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(UserError, match=re.escape(message)) as caught:
        zoo.check_zoo()
    assert "\n" not in str(caught.value)
    zoo.write_zoo()
    assert zoo.check_zoo() == zoo.FILE


def test_a_page_without_its_last_line_is_noticed(project, today):
    """As one with a line too many is."""
    for page in (today.rstrip().rpartition("\n")[0], today + "more\n"):
        (project / zoo.FILE).write_text(page, encoding="utf-8")

        with pytest.raises(UserError, match="run kdbench zoo"):
            zoo.check_zoo()


def test_a_file_in_the_place_of_docs_is_said_in_one_line(tmp_path, monkeypatch, today):
    """It stays as it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo, "compose", lambda networks: today)
    (tmp_path / "docs").write_text("mine")
    with pytest.raises(UserError, match=r"^docs/zoo\.md: cannot be read or written: .+$"):
        zoo.write_zoo()
    assert (tmp_path / "docs").read_text() == "mine"


def test_a_missing_page_is_noticed(project):
    """And the command makes it, with its folder."""
    (project / zoo.FILE).unlink()
    (project / "docs").rmdir()

    with pytest.raises(UserError, match=r"^docs/zoo.md: no such file; run kdbench zoo$"):
        zoo.check_zoo()
    assert CliRunner().invoke(app, ["zoo"]).output.splitlines() == ["docs/zoo.md"]
    zoo.check_zoo()


def test_a_changed_network_changes_its_row():
    """Nothing is remembered: the row follows from what is built."""
    component = find_components().get("network", "resnet8", where="test")
    small, large = (zoo.measure(component, 10, (3, side, side)) for side in (16, 32))

    assert (small.parameters, large.parameters) == (78_042, 78_042)
    assert small.stages == "16@16×16 16@16×16 32@8×8 64@4×4"
    assert small.operations.elements * 4 == large.operations.elements == 159_744
