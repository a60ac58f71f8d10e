"""Plant bugs in the methods, one at a time, in a copy of the package; count those the tests catch.

    python tests/plant_bugs.py            # all, some minutes
    python tests/plant_bugs.py 3 7        # these only

Prints a line a bug and exits with 1 if one was not caught. Nothing here is changed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Bug(NamedTuple):
    """What is planted where, and which tests should notice."""

    what: str
    file: str
    right: str
    wrong: str
    tests: str


BUGS = [
    Bug("SP: sum in place of mean", "distill/sp.py", ".square().mean()", ".square().sum()",
        "tests/distill"),
    Bug("AT: plain activations in place of squares", "distill/at.py", "maps.square().mean(1)",
        "maps.mean(1)", "tests/distill"),
    Bug("RKD: the diagonal counts in the mean distance", "distill/rkd.py", "(found > 0).sum()",
        "found.numel()", "tests/distill"),
    Bug("OFD: margins of the wrong sign", "distill/ofd.py", "mean - spread * density",
        "mean + spread * density", "tests/distill"),
    Bug("CRD: a memory that forgets to normalise", "distill/crd.py",
        "moved / moved.norm(dim=1, keepdim=True)", "moved", "tests/distill"),
    Bug("CRD: the same negatives at every step", "distill/crd.py", '"crd", moment.step',
        '"crd", 0', "tests/distill"),
    Bug("L2T: weight decay left out of the virtual steps", "distill/l2t_ww.py",
        "direction = slope + decay * weight", "direction = slope", "tests/distill"),
    Bug("FT: the paraphraser goes on learning", "distill/ft.py",
        "with torch.no_grad():\n            theirs", "if True:\n            theirs",
        "tests/distill"),
    Bug("DKD: warm-up counted from 0", "distill/dkd.py", "(moment.epoch + 1) * of",
        "moment.epoch * of", "tests/distill"),
    Bug("SCKD: opposing terms kept", "distill/sckd.py", "helps = agrees(main, found[: len(main)])",
        "helps = True", "tests/distill"),
    Bug("a teacher whose statistics move", "assemble.py", "module.track_running_stats = False",
        "pass", "tests/test_teacher.py tests/phases/test_teacher_modes.py"),
    Bug("a first stage that shares the main optimiser's time", "phases/steps.py",
        "moment.step - before,", "moment.step,",
        "tests/phases/test_every_method.py -k stages_count"),
    Bug("L2T's optimiser left out of checkpoints", "phases/training.py",
        'parts |= getattr(loss, "optimisers", {})', "pass",
        "tests/phases/test_every_method.py -k l2t_ww"),
    Bug("a student that looks twice at each batch", "phases/steps.py",
        "ours = self.student.read(batch.images)\n                terms",
        "self.student(batch.images); ours = self.student.read(batch.images)\n                terms",
        "tests/phases/test_every_method.py -k kd"),
]  # fmt: skip


def caught(bug: Bug, folder: Path) -> bool:
    """Whether the tests fail with the bug in a copy of package and tests."""
    for name in ("kdbench", "tests"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    for name in ("pyproject.toml", "params.yaml", "docs"):
        place = ROOT / name
        (shutil.copytree if place.is_dir() else shutil.copy)(place, folder / name)
    file = folder / "kdbench" / bug.file
    code = file.read_text(encoding="utf-8")
    if code.count(bug.right) != 1:
        raise SystemExit(
            f"{bug.file}: found {bug.right!r} {code.count(bug.right)} times, expected 1"
        )
    file.write_text(code.replace(bug.right, bug.wrong), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *bug.tests.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{bug.what}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}")
    return done.returncode == 1


def main() -> int:
    """Plant what was asked for; returns the exit code."""
    chosen = [int(number) for number in sys.argv[1:]] or range(1, len(BUGS) + 1)
    found = 0
    for number in chosen:
        with tempfile.TemporaryDirectory() as folder:
            seen = caught(BUGS[number - 1], Path(folder))
        found += seen
        print(
            f"{number:2d}  {'caught' if seen else 'NOT CAUGHT':10s}  {BUGS[number - 1].what}",
            flush=True,
        )
    print(f"{found} of {len(chosen)} caught")
    return 0 if found == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
