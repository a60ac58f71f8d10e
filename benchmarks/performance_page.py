"""Write docs/performance.md from what the benchmarks measured, benchmarks/results/*.json.

    python benchmarks/performance_page.py
    python benchmarks/performance_page.py --check    # fails where the page is not what they say

A benchmark that has not run has a line in place of its tables.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tabulate import tabulate

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs/performance.md", ROOT / "benchmarks/results"
HEAD = """# Performance

Written by `python benchmarks/performance_page.py` from `benchmarks/results/*.json`. `make bench`
takes all measurements anew and writes the page: both sides of a comparison run in one process and
take turns, times are medians over rounds, and the files hold every round. The *peak* is that of
the fastest of five 3 x 3 convolutions, forward and backward, in the same process and number
format; a step's share of it is its multiply-adds over its time, over that peak.
"""
FIELD = """The field's side is [RepDistiller](https://github.com/HobbitLong/RepDistiller): its
networks and its KD step, float32, as its code has them. "Step" trains on a batch that is there;
"epoch" loads its images too, from random images in memory: PIL and torchvision's transforms on
the field's side, the in-memory loader of a run on ours."""
DFA = """A step of the search over a KD step of the same pair and batch (float32, channels-last).
DFA's steps differ by the group whose turn it is and by whether its β moves, so every kind is
timed and the whole is their mean over a search."""
DISTPRO = """The release's algebra runs teacher, student and pathways five times a step; "whole"
differentiates in all weights at both points of the central difference. kdbench's step has the
same algebra with what is equal computed once (docs/architecture.md, section 8)."""
FROZEN = """A teacher only looks, so its norms can be folded into its convolutions:
`scales: {lite: {fold_teacher: true}}` does so where a convolution's output is read by its norm
alone. All maps stay what they are but for rounding, the runs have other digests, and it is off by
default. torch's `jit.freeze` folds too and `optimize_for_inference` also lays weights out for the
kernels once; both give logits alone, so kdbench does not use them. Measured is the teacher's pass
without a graph; from it follows what KD's whole step gains."""
REPORTS = """`kdbench report`, Python's start included: into an empty folder, with nothing
changed, and with one record changed. In brackets seconds of the CPU. The aim is 20 s for 3,000
records."""
PLANS = """`snakemake -n` of everything at scale paper with ever more students per cell, and
`dvc repro`, Python's start included; in brackets seconds of the CPU. "Fresh": no run is done (of
DVC: its first call, which takes note of finished runs). The aims are 2.5 s for some thousand runs,
25 s for 30,000, and 3 s for DVC with nothing to do. Snakemake alone plans as many jobs of one rule
without inputs; the plan itself takes 0.6 s of the first row."""
GPU = """The step of a run of DistPro's Table 1, as the run builds it (the loader, the teacher's
pass, both losses, the optimiser; batch 128), by number format, memory format, and whether recorded
steps are replayed (docs/gpu.md). The peaks are those of the fastest of five 3 x 3 convolutions at
this batch, and of an 8192 x 8192 matrix product, in the same process and number format."""
MISSING = "Not measured: `{command}`."
TARGETS = {  # of KD's step, over the field's: float32, bf16
    "wrn-40-2:wrn-16-2": (1.25, 4.0),
    "resnet56:resnet20": (1.1, 2.5),
    "resnet32x4:shufflenet-v2": (1.25, 4.0),
}
Result = Mapping[str, Any]


def page(results: Mapping[str, Result]) -> str:
    """The whole page, of whatever was measured."""
    sections = (
        ("KD: step and epoch", "kd_step", "python benchmarks/kd_step.py", kd),
        ("Steps of the searches", "search_steps", "python benchmarks/search_steps.py", searches),
        ("DistPro's step", "distpro_step", "python benchmarks/distpro_step.py", distpro),
        ("A frozen teacher", "frozen_teacher", "python benchmarks/frozen_teacher.py", frozen),
        ("Reports", "report_speed", "python benchmarks/report_speed.py", reports),
        ("Plans", "plan_speed", "python benchmarks/plan_speed.py", plans),
        ("A GPU", "gpu_grid", "python benchmarks/gpu_grid.py", gpu),
    )
    parts = [HEAD]
    for title, name, command, section in sections:
        parts.append(f"## {title}\n")
        if name not in results:
            parts.append(MISSING.format(command=command) + "\n")
            continue
        result = results[name]
        lines = [machine(result), *(f"{why[0].upper()}{why[1:]}." for why in skipped(result))]
        parts += [" ".join(lines) + "\n", *(f"{block}\n" for block in section(result))]
    return "\n".join(parts)


def machine(result: Result) -> str:
    """Where and when it was measured, in a line."""
    a = result["about"]
    return (
        f"{a['taken']}, {a['device']} ({a['instructions']}, {a['system']}), "
        f"{a['threads']} thread(s), torch {a['torch']}, Python {a['python']}."
    )


def skipped(result: Result) -> Sequence[str]:
    """What was left out, a reason each."""
    reasons: Sequence[str] = result.get("skipped", ())
    return reasons


def kd(result: Result) -> Iterator[str]:
    """KD's step and epoch beside the field's."""
    yield FIELD
    rows = [cells for pair in TARGETS for cells in kd_rows(pair, result)]
    headers = ["pair", "side", "step, images/s", "over the field's step", "target"]
    headers += [
        "needs of the peak",
        "epoch, images/s",
        "over the field's step",
        "of the peak",
        "rounds",
    ]
    yield table(headers, rows)
    yield (
        f"Batches of {result['batch']}, an epoch of {result['images']:,} images in parts of "
        f"{result['steps']} steps. The target is that of the bare step; beside it stands the share "
        "of this machine's peak that it would take: above 100 % no code reaches it here."
    )


def kd_rows(pair: str, result: Result) -> Iterator[list[str]]:
    """A pair's rows; without the field's side there is nothing to compare with."""
    sides = [row for row in result["rows"] if row["pair"] == pair]
    field = next((row for row in sides if row["side"] == "field"), None)
    base = median(field["step_seconds"]) if field else None
    for row in sides:
        step, loop = median(row["step_seconds"]), median(row["loop_seconds"])
        gains = [times(base / seconds) if base else "" for seconds in (step, loop)]
        speeds = [f"{result['batch'] / seconds:.0f}" for seconds in (step, loop)]
        aim = ["", ""] if row is field else aims(TARGETS[pair], row, base)
        cells = [pair.replace(":", " -> "), row["side"], speeds[0], gains[0], *aim]
        share = percent(row["multiply_adds"] / step / row["peak"])
        yield [*cells, speeds[1], gains[1], share, str(len(row["step_seconds"]))]


def aims(targets: tuple[float, float], row: Result, base: float | None) -> list[str]:
    """The target of a side, and the share of the peak that it would take."""
    target = targets[row["format"].startswith("bf16")]
    needed = percent(row["multiply_adds"] * target / base / row["peak"]) if base else ""
    return [times(target), needed]


def searches(result: Result) -> Iterator[str]:
    """Each search's step in KD steps, and where its time goes."""
    yield DFA
    for one in result["searches"]:
        kd_step = median(one["kd_seconds"])
        rows = [
            [k["kind"], percent(k["share"]), seconds(k["seconds"]), times(s / kd_step)]
            for k in one["kinds"]
            for s in [median(k["seconds"])]
        ]
        mean = sum(k["share"] * median(k["seconds"]) for k in one["kinds"])
        rows.append(["**whole search**", "100 %", f"{mean:.2f}", f"**{times(mean / kd_step)}**"])
        yield f"### {one['search']}: {one['pair']}, batch {one['batch']}"
        yield table(["kind of step", "of the steps", "s a step", "in KD steps"], rows)
        yield (
            f"KD's step: {kd_step:.2f} s, medians of {len(one['kd_seconds'])} rounds. "
            f"Where a step spends its time ({one['profiled']}): {listed(one['parts'])}; "
            f"by operation: {listed(one['operations'])}."
        )


def distpro(result: Result) -> Iterator[str]:
    """DistPro's step against the release's algebra."""
    yield DISTPRO
    spent = {name: median(values) for name, values in result["seconds"].items()}
    first, whole = list(spent.values())[:2]
    rows = [
        [name, f"{value:.2f}", times(first / value), times(whole / value)]
        for name, value in spent.items()
    ]
    yield table(["side", "s a step", "against the release's algebra", "against it whole"], rows)
    rounds = len(next(iter(result["seconds"].values())))
    yield (
        f"{result['pair']}, {result['pathways']} pathways, batch {result['batch']}, medians of "
        f"{rounds} rounds; the first step's gradients in the alphas are {result['apart']:.0e} "
        "apart (central difference on both sides). By operation: "
        + "; ".join(f"{name}: {listed(parts)}" for name, parts in result["operations"].items())
        + "."
    )


def frozen(result: Result) -> Iterator[str]:
    """What freezing a teacher would give."""
    yield FROZEN
    rows = []
    for one in result["pairs"]:
        base = median(one["seconds"]["as a run"])
        student = median(one["kd_seconds"]) - base  # all of KD's step but the teacher
        rows += [
            [
                one["pair"].replace(":", " -> "),
                name,
                f"{1e3 * s:.0f}",
                times(base / s),
                times((student + base) / (student + s)),
                f"{one['apart'][name]:.0e}",
            ]
            for name, values in one["seconds"].items()
            for s in [median(values)]
        ]
    headers = [
        "pair",
        "the teacher's pass",
        "ms",
        "times faster",
        "KD's step, times faster",
        "logits apart",
    ]
    yield table(headers, rows)
    yield f"Batches of {result['batch']}, float32, channels-last."
    judged = [
        [one["pair"].replace(":", " -> "), *saving(one["verdict"])] for one in result["pairs"]
    ]
    yield table(["pair", "folding saves of KD's whole step", "5 % or more"], judged)


def saving(verdict: Mapping[str, Any]) -> list[str]:
    """What folding saves with its 95 % interval over rounds, and whether it is worth it."""
    half = "" if verdict["half"] is None else f" ± {100 * verdict['half']:.1f}"
    return [f"{100 * verdict['saved']:.1f}{half} %", verdict["worth it"]]


def reports(result: Result) -> Iterator[str]:
    """Reports of ever more records."""
    yield REPORTS
    times_of = ("first", "again", "one record changed")
    rows = [
        [
            row["project"],
            f"{row['records']:,}",
            *(spent(row[key]) for key in times_of),
            f"{row['report_mib']} MiB",
            f"{row['largest_page_mib']} MiB",
        ]
        for row in result["rows"]
    ]
    heads = ["project", "records", *(f"{key}, s" for key in times_of), "report", "largest page"]
    yield table(heads, rows)


def plans(result: Result) -> Iterator[str]:
    """Plans of ever more runs."""
    yield PLANS
    rows = [
        [
            *(row["what"], f"{row['runs']:,}", spent(row["fresh"]), spent(row["done"])),
            spent(row["bare"]) if "bare" in row else "",
        ]
        for row in result["rows"]
    ]
    yield table(["command", "runs", "fresh, s", "nothing to do, s", "Snakemake alone, s"], rows)


def gpu(result: Result) -> Iterator[str]:
    """Steps on a GPU, by format."""
    yield GPU
    rows = []
    for row in result["rows"]:
        name, layout, _ = row["runtime"].split(":")
        names = [row["method"], name, layout.upper(), "yes" if row.get("replayed") else "no"]
        if "seconds" not in row:
            rows.append([*names, row["failed"]])
            continue
        speed, peaks = row["multiply_adds"] / row["seconds"], result["peaks"][name]
        shares = [percent(speed / peaks[key]) for key in ("convolution", "product")]
        speeds = [f"{1e3 * row['seconds']:.2f}", f"{row['batch'] / row['seconds']:,.0f}"]
        memory = f"{row['memory'] / 2**30:.2f}"
        rows.append([*names, *speeds, f"{speed / 1e12:.1f}", *shares, memory])
    headers = ["step of", "format", "layout", "replayed", "ms", "images/s"]
    headers += ["T multiply-adds/s", "of the convolution", "of the product", "GiB"]
    yield f"{result['pair'].replace(':', ' -> ')}:"
    yield table(headers, rows)
    profiles = [
        f"{row['method']} in {row['runtime'].partition(':')[0]}: {listed(row['operations'])}"
        for row in result["rows"]
        if row.get("operations")
    ]
    if profiles:
        yield f"Where the device's time goes, by operation: {'; '.join(profiles)}."


def spent(seconds: Mapping[str, float]) -> str:
    """Seconds by the clock, and of the CPU in brackets."""
    return f"{seconds['seconds']:.1f} ({seconds['cpu_seconds']:.1f})"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; text as it is."""
    return tabulate(rows, headers, "github", disable_numparse=True)


def times(ratio: float) -> str:
    """A ratio with two digits behind the point."""
    return f"{ratio:.2f}"


def percent(share: float) -> str:
    """A share."""
    return f"{100 * share:.0f} %"


def seconds(values: Sequence[float]) -> str:
    """A median in seconds."""
    return f"{median(values):.2f}"


def listed(parts: Mapping[str, float]) -> str:
    """Shares of at least a hundredth, largest first."""
    large = ((name, share) for name, share in parts.items() if share >= 0.01)
    return ", ".join(f"{name} {percent(share)}" for name, share in large)


def read(folder: Path) -> dict[str, Result]:
    """What was measured, by the name of the benchmark."""
    files = sorted(folder.glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def main() -> None:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    text = page(read(asked.results))
    if not asked.check:
        asked.page.write_text(text, encoding="utf-8")
        print(asked.page)
    elif not asked.page.is_file() or asked.page.read_text(encoding="utf-8") != text:
        sys.exit(f"{asked.page} is not what {asked.results} says: run `{Path(__file__).name}`")


if __name__ == "__main__":
    main()
