"""What every refusal has in common."""

import sys
from pathlib import Path

from kdbench.cli import main


def refuse(folder, words, capsys, monkeypatch):
    """Run a command that must be refused in a folder; returns its one line.

    Asserts that it fails by one line on standard error, prints nothing else, and leaves every file
    as it was.
    """
    before = contents(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["kdbench", *words])
    try:
        main()
    except SystemExit as end:
        code = end.code
    else:
        code = 0
    out, line = capsys.readouterr()

    assert code not in (0, None, 1), line
    assert out == ""
    assert line.startswith("kdbench: ") and line.count("\n") == 1, line
    assert len(line) < 1500
    assert "Traceback" not in line and "Field required" not in line and "pydantic" not in line
    assert contents(folder) == before
    return line


def contents(folder):
    """Every file below a folder, and its bytes."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
