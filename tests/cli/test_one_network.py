"""`kdbench zoo NETWORK` prints one network as docs/zoo.md has it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.cli.networks_page import lines_of
from kdbench.errors import BadValue, UnknownName, UserError

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["resnet8", "wrn-16-2", "resnet18", "sparse-to-dense-resnet18"])
def test_the_numbers_are_those_of_the_page(name, tmp_path, monkeypatch):
    """Of every kind of image and task."""
    monkeypatch.chdir(tmp_path)
    page = (REPOSITORY / "docs/zoo.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", page, re.MULTILINE)
    label, parameters, operations, elements, stages, pooled, _ = row.split(" | ")

    printed = lines_of(name)

    assert printed[0].startswith(f"{name}: {label} (")
    assert [line.split(maxsplit=1)[1] for line in printed[2:]] == [
        parameters,
        f"{operations} M, with elements {elements} M",
        stages,
        pooled,
    ]


def test_any_network_of_a_family_with_any_number_of_classes(tmp_path, monkeypatch):
    """Also one that is no example; nothing is written."""
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(app, ["zoo", "wrn-22-4", "--classes", "10"])

    assert printed.exit_code == 0
    assert "  images         3 × 32 × 32, 10 outputs" in printed.output.splitlines()
    assert not [*tmp_path.iterdir()]


def test_what_is_no_network_and_what_goes_not_together_are_refused(tmp_path, monkeypatch):
    """In one line each."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName, match="resnet8x"):
        lines_of("resnet8x")
    for arguments in (["zoo", "--classes", "10"], ["zoo", "resnet8", "--check"]):
        refused = CliRunner().invoke(app, arguments)
        assert isinstance(refused.exception, BadValue)


def test_a_plugin_s_own_error_and_too_many_classes_are_one_line(tmp_path, monkeypatch):
    """Whatever a network of the user's raises; the exit code is not zero."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "broken.toml").write_text(
        'kind = "network"\nclass = "Broken"\nlabel = "X"\nrevision = 1\n'
        'pattern = "broken-net"\nexamples = ["broken-net"]\n'
    )
    (folder / "broken.py").write_text(
        "class Broken:\n    def __init__(self, **given):\n        1 / 0\n"
    )
    (tmp_path / "params.yaml").write_text("plugins: [mine]\n")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UserError, match=r"broken-net .* cannot be built; ZeroDivisionError") as one:
        lines_of("broken-net")
    assert "\n" not in str(one.value)
    assert CliRunner().invoke(app, ["zoo", "resnet8", "--classes", "9" * 20]).exit_code == 2
