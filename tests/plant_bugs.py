"""Plant bugs, one at a time, in a copy of the package; count those that the tests catch.

    python tests/plant_bugs.py            # all, some minutes
    python tests/plant_bugs.py 3 7        # these only

Prints a line a bug and exits with 1 if one was not caught. Nothing here is changed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
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


# The formulas' own tests; and those of the contract, which hold for every declared method.
FORMULAS = "tests/distill --ignore-glob=*/test_contract*"
LEARNS = "tests/distill/test_contract.py"
NUMBERS = "tests/distill/test_contract_numbers.py"
ODD_PAIRS = "tests/distill/test_contract_pairs.py"

BUGS = [
    Bug("SP: sum in place of mean", "distill/sp.py", ".square().mean()", ".square().sum()",
        FORMULAS),
    Bug("AT: plain activations in place of squares", "distill/at.py", "maps.square().mean(1)",
        "maps.mean(1)", FORMULAS),
    Bug("RKD: the diagonal counts in the mean distance", "distill/rkd.py", "(found > 0).sum()",
        "found.numel()", FORMULAS),
    Bug("OFD: margins of the wrong sign", "distill/ofd.py", "mean - spread * density",
        "mean + spread * density", FORMULAS),
    Bug("CRD: a memory that forgets to normalise", "distill/crd.py",
        "moved / moved.norm(dim=1, keepdim=True)", "moved", FORMULAS),
    Bug("CRD: the same negatives at every step", "distill/crd.py", '"crd", position.step',
        '"crd", 0', FORMULAS),
    Bug("L2T: weight decay left out of the virtual steps", "distill/l2t_ww.py",
        "direction = slope + decay * weight", "direction = slope", FORMULAS),
    Bug("FT: the paraphraser goes on learning", "distill/ft.py",
        "with torch.no_grad():\n            theirs", "if True:\n            theirs",
        FORMULAS),
    Bug("DKD: warm-up counted from 0", "distill/dkd.py", "self.warmup_of, first=1)",
        "self.warmup_of, first=0)", FORMULAS),
    Bug("SCKD: opposing terms kept", "distill/sckd.py", "helps = agrees(main, found[: len(main)])",
        "helps = True", FORMULAS),
    Bug("a teacher whose statistics move", "assemble.py", "module.track_running_stats = False",
        "pass", "tests/test_teacher.py tests/phases/test_teacher_modes.py"),
    Bug("a first stage that shares the main optimiser's time", "phases/steps.py",
        "position.step - before,", "position.step,",
        "tests/phases/test_every_method.py -k stages_count"),
    Bug("L2T's optimiser left out of checkpoints", "phases/training.py",
        'parts |= getattr(loss, "optimisers", {})', "pass",
        "tests/phases/test_every_method.py -k l2t_ww"),
    Bug("a student that looks twice at each batch", "phases/steps.py",
        "ours = self.student.read(batch.images)\n                terms",
        "self.student(batch.images); ours = self.student.read(batch.images)\n                terms",
        "tests/phases/test_every_method.py -k kd"),
    Bug("OFD: connectors that are not registered", "distill/ofd.py",
        "self.connectors = nn.ModuleList(", "self.connectors = list(", f"{LEARNS} -k ofd"),
    Bug("SP: a reference to the student", "distill/sp.py", "self.weight = weight",
        "self.weight, self.seen = weight, [student]", f"{LEARNS} -k sp"),
    Bug("AT: the teacher becomes a part of the loss", "distill/at.py", "self.weight = weight",
        "self.weight, self.teacher = weight, teacher", f"{LEARNS} -k at"),
    Bug("PKT: the student's features are kept", "distill/pkt.py",
        'return {"pkt"', 'self.last = student; return {"pkt"', f"{LEARNS} -k pkt"),
    Bug("CRD: memories left out of the state", "distill/crd.py", ".uniform_(-bound, bound))",
        ".uniform_(-bound, bound), persistent=False)", f"{LEARNS} -k crd"),
    Bug("CRD: the seed left out of the state", "distill/crd.py", "torch.randint(2**31, ()))",
        "torch.randint(2**31, ()), persistent=False)", f"{LEARNS} -k crd"),
    Bug("OFD: counted margins left out of the state", "distill/ofd.py",
        'self.register_buffer("count", torch.zeros(channels, dtype=torch.float64))',
        'self.register_buffer("count", torch.zeros(channels, dtype=torch.float64), False)',
        f"{LEARNS} -k loaded"),
    Bug("CRD: an order from the global generator", "distill/crd.py",
        "torch.randperm(images, generator=generator)", "torch.randperm(images)",
        f"{LEARNS} -k crd"),
    Bug("MLLD: a random temperature", "distill/mlld.py", "self.weight\n            * torch.stack(",
        "self.weight * (1 + 1e-3 * float(torch.rand(())))\n            * torch.stack(",
        f"{LEARNS} -k mlld"),
    Bug("connectors that no optimiser has", "phases/training.py",
        '[student, getattr(loss, "trained", loss)]', "[student]", f"{LEARNS} -k ofd"),
    Bug("L2T: its own weights in the student's optimiser", "phases/training.py",
        'getattr(loss, "trained", loss)', "loss", f"{LEARNS} -k l2t_ww"),
    Bug("connectors left out of the first stage", "phases/training.py", "*trunk, main.loss)",
        "*trunk, main.loss.translator)" , f"{LEARNS} -k ft"),
    Bug("VID: a variance that is not trained", "distill/vid.py", "F.softplus(self.scale)",
        "F.softplus(self.scale.detach())", f"{LEARNS} -k vid"),
    Bug("AT: a norm without a guard", "distill/at.py",
        "F.normalize(maps.square().mean(1).flatten(1))",
        "(flat := maps.square().mean(1).flatten(1)) / flat.norm(dim=1, keepdim=True)",
        f"{NUMBERS} -k at"),
    Bug("NST: a norm without a guard", "distill/nst.py", "F.normalize(maps.flatten(2), dim=2)",
        "maps.flatten(2) / maps.flatten(2).norm(dim=2, keepdim=True)", f"{NUMBERS} -k nst"),
    Bug("RKD: a root of 0", "distill/rkd.py", "clamp(min=SMALLEST)", "clamp(min=0)",
        f"{NUMBERS} -k rkd"),
    Bug("DIST: a correlation of nothing", "distill/dist.py", "other.norm(dim=1) + EPS",
        "other.norm(dim=1)", f"{NUMBERS} -k dist"),
    Bug("LONDON: a gain over nothing", "distill/london.py", "spectral(first).clamp(min=EPS)",
        "(first @ first).trace().sqrt()", f"{NUMBERS} -k london"),
    Bug("SP: maps in one memory format only", "distill/sp.py", "maps.flatten(1)",
        "maps.view(len(maps), -1)", f"{NUMBERS} -k sp"),
    Bug("FT: a value that follows the memory format", "distill/ft.py",
        "return (ours - theirs).abs().mean()",
        "return (ours - theirs).abs().mean() * student.stride(1) ** 0.01", f"{NUMBERS} -k ft"),
    Bug("pathways weighed in bfloat16", "distill/pathways.py", "enabled=False", "enabled=True",
        f"{NUMBERS} -k equal"),
    Bug("formulas in bfloat16", "distill/wide.py",
        "torch.promote_types(value.dtype, torch.float32)",
        "value.dtype", f"{NUMBERS} -k sp"),
    Bug("NST: Python looks at a value", "distill/nst.py", "    return own - 2 * kernel_mean",
        "    if own.item() < 0:\n        own = own.abs()\n    return own - 2 * kernel_mean",
        f"{NUMBERS} -k nst"),
    Bug("CC: three images or more", "distill/cc.py", "gaps[:-1] * gaps[1:]",
        "gaps[:-1] * gaps[1:] * (len(gaps) - 2) / (len(gaps) - 2)", f"{NUMBERS} -k cc"),
    Bug("sizes that do not divide", "distill/matching.py", "F.adaptive_avg_pool2d(maps, size)",
        "F.avg_pool2d(maps, maps.shape[2] // size[0])", f"{ODD_PAIRS} -k at"),
    Bug("a regressor for one size too few", "distill/regressors.py",
        "kernel = 1 + h - th, 1 + w - tw",
        "kernel = h - th, w - tw", f"{ODD_PAIRS} -k ab"),
    Bug("a stage that shallow networks lack", "distill/matching.py",
        "count = min(ours, theirs) - 1",
        "count = ours - 1", "tests/distill/test_matching.py"),
    Bug("ReviewKD: as many levels as the student has", "distill/reviewkd.py",
        "self.levels = min(len(ours), len(theirs))", "self.levels = len(ours)",
        f"{ODD_PAIRS} -k reviewkd"),
    Bug("contests: every interval as if it were the only one", "report/contests.py",
        "_told(one, len(found))", "_told(one, 1)", "tests/report/test_contests.py"),
    Bug("contests: lower is better", "report/contests.py",
        "higher=table.metric.higher_is_better", "higher=False", "tests/report/test_contests.py"),
    Bug("contests: at stand-in scales too", "report/contests.py", "if graph.scale.stand_in:",
        "if False:", "tests/report"),
    Bug("contests: a student over its budget may win", "report/contests.py",
        'unfair=LARGER if any(cell.missed for cell in done) else ""', 'unfair=""',
        "tests/report/test_contests.py"),
    Bug("claims: a failure among many counts like one alone", "report/outcomes.py",
        "one.state(tries=len(there)) is State.FAILS", "one.state() is State.FAILS",
        "tests/report/test_outcomes.py"),
    Bug("claims: nearness too", "report/outcomes.py", "one.lead(tries=len(there))", "one.lead()",
        "tests/report/test_outcomes.py"),
    Bug("runs that do not vary decide", "report/statistics.py", "return gap, None\n    degrees",
        "return gap, 0.0\n    degrees", "tests/report/test_outcomes.py"),
    Bug("Bonferroni one-sided", "report/statistics.py", "1 - 0.025 / tries", "1 - 0.05 / tries",
        "tests/report/test_outcomes.py"),
    Bug("cost: an imported teacher costs nothing", "report/cost.py",
        "taught = None  # imported", "taught = []  # imported", "tests/report/test_cost_table.py"),
    Bug("cost: half of the searches pass for all", "report/cost.py",
        "return found if len(found) == len(runs) else None", "return found",
        "tests/report/test_cost_table.py"),
    Bug("cost: wall time of all students for one", "report/cost.py",
        "training / len(trained) + search", "training + search",
        "tests/report/test_cost_table.py"),
    Bug("cost: the wall clock begins anew in a continued run", "engine/progress.py",
        '"seconds", "wall", "macs"', '"seconds", "macs"', "tests/engine tests/resume"),
    Bug("a tuning run's teacher chosen on test images", "plan/spec.py",
        ' and "held_out" not in self.params', "", "tests/phases/test_tuning.py"),
    Bug("least_seeds forgotten", "plan/build.py", ", least=ask.least", "", "tests/plan"),
    Bug("params.yaml's seeds are no longer the last word", "plan/resolve.py",
        "return self.params.seeds\n", "return max(least, self.params.seeds)\n", "tests/plan"),
    Bug("cells of different searches in one job", "plan/batches.py",
        'SHARED = ("data", "teacher", "search")', 'SHARED = ("data", "teacher")',
        "tests/workflow/test_cell_jobs.py"),
    Bug("cells that were begun are dealt out with the others", "plan/batches.py",
        " and not self._begun(c)", "", "tests/workflow/test_cell_jobs.py"),
    Bug("cells made on the way have jobs of their own too", "plan/batches.py",
        " and spec.digest not in self._on_the_way", "", "tests/workflow/test_cell_jobs.py"),
    Bug("a job waits for its last cell only", "workflow.py",
        "for one in made for name in self._inputs(one)",
        "for one in made[-1:] for name in self._inputs(one)", "tests/workflow/test_cell_jobs.py"),
    Bug("picked channels lose their memory format", "models/carving.py",
        "if not x.is_contiguous(memory_format=torch.channels_last):", "if True:",
        "tests/models/test_found.py -k scattered"),
    Bug("found students without their revision", "plan/build.py",
        'found["carving"] = CARVING_REVISION', "pass", "tests/plan"),
    Bug("a note of divergence outlives the success", "run.py",
        "paths.diverged(spec).unlink(missing_ok=True)", "pass", "tests/phases/test_failures.py"),
    Bug("the report's command forgets what was overridden", "report/index.py",
        'if key != "scale"]', "if False]", "tests/report"),
]  # fmt: skip


def caught(bug: Bug, folder: Path) -> bool:
    """Whether the tests fail with the bug in a copy of package and tests."""
    copied(folder)
    file = folder / "kdbench" / bug.file
    code = file.read_text(encoding="utf-8")
    if code.count(bug.right) != 1:
        raise SystemExit(
            f"{bug.file}: found {bug.right!r} {code.count(bug.right)} times, expected 1"
        )
    file.write_text(code.replace(bug.right, bug.wrong), encoding="utf-8")
    return not passes(bug.tests, folder)


@cache
def clean(tests: str) -> bool:
    """Whether the tests pass without any bug: or a failure says nothing."""
    with tempfile.TemporaryDirectory() as folder:
        copied(Path(folder))
        return passes(tests, Path(folder))


def copied(folder: Path) -> None:
    """Copy package and tests, and what the tests read beside them."""
    for name in ("kdbench", "tests"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    for name in ("pyproject.toml", "params.yaml", "docs", "Snakefile", "rules", "profiles"):
        place = ROOT / name
        (shutil.copytree if place.is_dir() else shutil.copy)(place, folder / name)


def passes(tests: str, folder: Path) -> bool:
    """Whether the tests pass in a copy."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{tests}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}")
    return done.returncode == 0


def main() -> int:
    """Plant what was asked for; returns the exit code."""
    chosen = [int(number) for number in sys.argv[1:]] or range(1, len(BUGS) + 1)
    found = 0
    for number in chosen:
        if not clean(BUGS[number - 1].tests):
            raise SystemExit(f"{BUGS[number - 1].tests}: fails without any bug")
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
