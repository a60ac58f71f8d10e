"""Every bad declaration, record, scheme and plug-in is refused in one line; see `bad_files.py`."""

import shutil

import pytest
import torch
from bad_files import CODE, DECLARATIONS, METHOD, NAMES, RECORDS, SCHEMES
from refusal import refuse
from safetensors.torch import save_file

from kdbench.distill.scheme import TENSORS, TEXT, Scheme
from kdbench.errors import BadValue, UserError
from kdbench.plan.graph import load_graph
from kdbench.plan.plugins import load_class
from kdbench.store.paths import Paths

PARAMS = "exhibits: [distpro/table1]\npairs: ['resnet56:resnet20']\nmethods_only: [kd]\n"


def short(name):
    """A name of a case that fits on a line."""
    return ascii(name)[:60]


@pytest.mark.parametrize("content", DECLARATIONS, ids=short)
def test_a_bad_declaration_is_one_line_that_says_where_and_what(
    tmp_path, capsys, monkeypatch, content
):
    """The line names the file and the key."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/mine.toml").write_text(content)
    (tmp_path / "params.yaml").write_text("plugins: [own]")

    line = refuse(tmp_path, ["status"], capsys, monkeypatch)

    assert all(part in line for part in ["own/mine.toml", *DECLARATIONS[content]]), line


@pytest.mark.parametrize("name", NAMES)
def test_a_plug_in_s_file_has_a_name_that_no_shell_obeys(tmp_path, capsys, monkeypatch, name):
    """Names of components are parts of paths that shell commands hold."""
    (tmp_path / "own").mkdir()
    (tmp_path / f"own/{name}.toml").write_text(METHOD)
    (tmp_path / f"own/{name}.py").write_text("")
    (tmp_path / "params.yaml").write_text("plugins: [own]")

    line = refuse(tmp_path, ["status"], capsys, monkeypatch)

    assert "rename the plug-in's two files" in line


@pytest.mark.parametrize("kind", ["folder", "Latin-1", "large"])
def test_what_is_no_text_file_among_declarations_is_one_line(tmp_path, capsys, monkeypatch, kind):
    """A folder of such a name, another encoding, a file that is far too large."""
    file = tmp_path / "own/mine.toml"
    file.parent.mkdir()
    (tmp_path / "params.yaml").write_text("plugins: [own]")
    if kind == "folder":
        file.mkdir()
    else:
        file.write_bytes("é".encode("latin-1") if kind == "Latin-1" else b"#" * 300_000)

    line = refuse(tmp_path, ["status"], capsys, monkeypatch)

    assert "own/mine.toml" in line
    said = {"folder": "not a file", "Latin-1": "UTF-8", "large": "at most 250000"}
    assert said[kind] in line


@pytest.mark.parametrize("name", CODE)
def test_bad_code_of_a_plug_in_is_one_line(tmp_path, name):
    """The line names the file and what Python says."""
    code, parts = CODE[name]
    (tmp_path / "mine.py").write_text(code)

    with pytest.raises(BadValue) as caught:
        load_class(str(tmp_path / "mine.py"), "X")

    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.parametrize(
    ("command", "content"),
    [
        (command, content)
        for command in ("status", "report")
        for content in RECORDS
        if command == "status" or '"code": 3' not in content  # which a report does not read
    ],
    ids=short,
)
def test_a_bad_record_is_one_line_that_names_it(tmp_path, capsys, monkeypatch, command, content):
    """Status and report refuse it, and leave it where it is."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    graph = load_graph(tmp_path)
    run = next(run for run in graph.runs.values() if run.phase == "evaluation")
    path = Paths(tmp_path).record(run)
    path.parent.mkdir(parents=True)
    path.write_text(content.replace("DIGEST", run.digest))

    line = refuse(tmp_path, [command], capsys, monkeypatch)

    parts = RECORDS[content] if command == "status" else []
    assert all(part in line for part in [path.name, *parts]), line


@pytest.mark.parametrize("content", SCHEMES, ids=short)
def test_a_bad_scheme_is_one_line(tmp_path, content):
    """The line names the file or what does not fit."""
    save_file({"weights": torch.rand(3, 2), "alphas": torch.rand(3, 2)}, tmp_path / TENSORS)
    (tmp_path / TEXT).write_text(content)

    with pytest.raises(UserError) as caught:
        Scheme.load(tmp_path)

    assert all(part in str(caught.value) for part in SCHEMES[content]), str(caught.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"weights": torch.rand(3, 2)},
        {"weights": torch.rand(3, 2), "alphas": torch.rand(2, 2)},
        {"weights": torch.rand(3), "alphas": torch.rand(3)},
        {"weights": torch.rand(0, 2), "alphas": torch.rand(0, 2)},
        {"weights": torch.full((3, 2), torch.nan), "alphas": torch.rand(3, 2)},
        {"weights": torch.rand(3, 2), "alphas": torch.full((3, 2), torch.inf)},
        {"weights": torch.rand(3, 2).to(torch.complex64), "alphas": torch.rand(3, 2)},
        {"weights": torch.ones(3, 2, dtype=torch.bool), "alphas": torch.rand(3, 2)},
    ],
    ids=["none", "one", "rows", "flat", "empty", "nan", "inf", "complex", "bool"],
)
def test_bad_tensors_of_a_scheme_are_one_line(tmp_path, tensors):
    """Other shapes, other kinds of numbers, numbers that are none."""
    save_file(tensors, tmp_path / TENSORS)
    (tmp_path / TEXT).write_text('{"format": 1, "names": ["a", "b"], "metadata": {}}')

    with pytest.raises(UserError):
        Scheme.load(tmp_path)


@pytest.mark.parametrize("name", [TEXT, TENSORS])
@pytest.mark.parametrize("damage", ["absent", "folder", "cut"])
def test_a_scheme_whose_file_is_damaged_is_one_line(tmp_path, name, damage):
    """Either file may be absent, a folder, or cut short."""
    Scheme(torch.rand(3, 2), torch.rand(3, 2), ("a", "b")).save(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    if damage == "folder":
        (tmp_path / name).mkdir()
    elif damage == "cut":
        (tmp_path / name).write_bytes(content[: len(content) // 2])

    with pytest.raises(UserError):
        Scheme.load(tmp_path)
    shutil.rmtree(tmp_path)
