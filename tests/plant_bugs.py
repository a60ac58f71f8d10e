"""Plant bugs, one at a time, in a copy of the package; count those that the tests catch.

    python tests/plant_bugs.py            # all, some minutes
    python tests/plant_bugs.py 3 7        # these only
    python tests/plant_bugs.py --check    # only whether each still applies to the code: a second

Prints one line per bug and exits with 1 if one was not caught or no longer applies. The working
tree is not changed. The list is in planted_bugs.py.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from planted_bugs import BUGS, Bug
from planting import DoesNotApply, planted

ROOT = Path(__file__).parents[1]
# What the tests read beside package and tests.
BESIDE = (
    ".dvcignore", ".gitignore", "pyproject.toml", "constraints.txt", "params.yaml", "dvc.yaml",
    "docs", "Snakefile", "rules", "profiles",
)  # fmt: skip


def does_not_apply(bug: Bug) -> str:
    """Why a bug cannot be planted in today's code; "" where it can."""
    try:
        planted(ROOT / "kdbench", bug.place, bug.right, bug.wrong)
        arguments(bug.tests)
    except DoesNotApply as error:
        return str(error)
    return ""


def arguments(tests: str) -> list[str]:
    """Pytest's arguments, with the folder of every test file.

    Raises:
        DoesNotApply: a file or folder of tests does not exist.
    """
    files = {path.name: str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_*.py")}
    whole = [files.get(word, word) for word in tests.split()]
    for word in whole:
        if word.startswith(("test_", "tests")) and not (ROOT / word).exists():
            raise DoesNotApply(f"{word}: no such tests")
    return whole


def caught(bug: Bug, folder: Path) -> bool:
    """Whether the tests fail with the bug in a copy of package and tests."""
    copied(folder)
    file, text = planted(folder / "kdbench", bug.place, bug.right, bug.wrong)
    file.write_text(text, encoding="utf-8")
    return not passes(bug.tests, folder)


@cache
def clean(tests: str) -> bool:
    """Whether the tests pass without any bug: or a failure says nothing."""
    with tempfile.TemporaryDirectory() as folder:
        copied(Path(folder))
        return passes(tests, Path(folder))


def copied(folder: Path) -> None:
    """Copy package and tests, and what the tests read beside them."""
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("kdbench", "tests", *BESIDE):
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, folder / name, ignore=leave)
        else:
            shutil.copy(place, folder / name)


def passes(tests: str, folder: Path) -> bool:
    """Whether the tests pass in a copy.

    Raises:
        RuntimeError: pytest neither passed nor failed, such as where it finds no test.
    """
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments(tests)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        output = (done.stdout + done.stderr)[-2000:]
        raise RuntimeError(f"{tests}: pytest ended with {done.returncode}\n{output}")
    return done.returncode == 0


def fate(bug: Bug) -> str:
    """What becomes of a bug: caught, not caught, no longer applicable, or without meaning."""
    if reason := does_not_apply(bug):
        return f"NO LONGER APPLIES ({reason})"
    if not clean(bug.tests):
        return f"PROVES NOTHING ({bug.tests} fails without any bug)"
    with tempfile.TemporaryDirectory() as folder:
        return "caught" if caught(bug, Path(folder)) else "NOT CAUGHT"


def main() -> int:
    """Plant what was asked for; returns the exit code."""
    if sys.argv[1:] == ["--check"]:
        reasons = [reason for bug in BUGS if (reason := does_not_apply(bug))]
        print(*reasons, f"{len(BUGS) - len(reasons)} of {len(BUGS)} apply", sep="\n")
        return 1 if reasons else 0
    chosen = [int(number) for number in sys.argv[1:]] or range(1, len(BUGS) + 1)
    fates = []
    for number in chosen:
        fates.append(fate(BUGS[number - 1]))
        print(f"{number:2d}  {BUGS[number - 1].what}: {fates[-1]}", flush=True)
    print(f"{fates.count('caught')} of {len(chosen)} caught")
    return 0 if fates.count("caught") == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
