"""The page of performance is what the benchmarks' files say, and turns are fair."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import operations
import performance_page
import turns

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ABOUT = {
    "taken": "2026-01-02",
    "device": "a processor",
    "instructions": "AVX2",
    "system": "Linux x86_64",
    "threads": 2,
    "python": "3.12.1",
    "torch": "2.9.0",
}
PAIR = "wrn-40-2:wrn-16-2"


def side(name, number_format, step, loop):
    """A side of KD's step, three rounds of which the middle one counts."""
    return {
        "pair": PAIR,
        "side": name,
        "format": number_format,
        "multiply_adds": 10**9,
        "peak": 10**10,
        "step_seconds": [step, 100 * step, 0.9 * step],
        "loop_seconds": [loop, 100 * loop, 0.9 * loop],
    }


RESULTS = {
    "gpu_grid": {
        "about": ABOUT,
        "pair": PAIR,
        "peaks": {"bf16": {"convolution": 2e13, "product": 4e14}},
        "rows": [
            {
                "method": "kd",
                "runtime": "bf16:nhwc:on",
                "seconds": 0.004,
                "batch": 128,
                "multiply_adds": 8 * 10**10,
                "memory": 2**29,
                "replayed": True,
                "operations": {"batch norms": 0.75, "convolutions, forward": 0.25},
            },
            {"method": "none", "runtime": "bf16:nchw:off", "failed": "RuntimeError: no memory"},
        ],
    },
    "kd_step": {
        "about": ABOUT,
        "skipped": ["bf16 is left out: no such arithmetic"],
        "batch": 64,
        "images": 5000,
        "steps": 4,
        "rows": [side("field", "float32", 0.5, 0.8), side("kdbench, nhwc", "float32", 0.4, 0.5)],
    },
    "search_steps": {
        "about": ABOUT,
        "peak": 1e10,
        "searches": [
            {
                "search": "dfa, first order",
                "pair": "wrn-28-4 -> wrn-16-2",
                "batch": 64,
                "kinds": [
                    {"kind": "group 1, β rests", "share": 0.25, "seconds": [1.0]},
                    {"kind": "group 1, β moves", "share": 0.75, "seconds": [2.0]},
                ],
                "kd_seconds": [0.5],
                "profiled": "group 1, β moves",
                "operations": {"convolutions, forward": 0.995, "batch norms": 0.005},
                "parts": {"teacher": 0.6, "backward passes": 0.4},
            }
        ],
    },
    "distpro_step": {
        "about": ABOUT,
        "skipped": [],
        "pair": "wrn-40-2 -> wrn-16-2",
        "pathways": 10,
        "batch": 128,
        "apart": 4e-3,
        "peak": 1e10,
        "seconds": {"as released": [8.0], "whole": [9.0], "kdbench": [2.0]},
        "operations": {"kdbench": {"batch norms": 1.0}},
    },
    "frozen_teacher": {
        "about": ABOUT,
        "batch": 64,
        "pairs": [
            {
                "pair": PAIR,
                "seconds": {"as a run": [0.6], "frozen": [0.4]},
                "kd_seconds": [1.0],
                "apart": {"as a run": 0.0, "frozen": 1e-6},
                "verdict": {"saved": 0.062, "half": 0.008, "worth it": "yes"},
            }
        ],
    },
    "report_speed": {
        "about": ABOUT,
        "rows": [
            {
                "project": "made up",
                "records": 3008,
                "first": {"seconds": 12.04, "cpu_seconds": 11.5},
                "again": {"seconds": 9.0, "cpu_seconds": 8.5},
                "one record changed": {"seconds": 9.1, "cpu_seconds": 8.6},
                "report_mib": 20.1,
                "largest_page_mib": 1.5,
            }
        ],
    },
    "plan_speed": {
        "about": ABOUT,
        "rows": [
            {
                "what": "snakemake -n",
                "runs": 1359,
                "fresh": {"seconds": 2.4, "cpu_seconds": 2.3},
                "done": {"seconds": 2.0, "cpu_seconds": 1.9},
                "bare": {"seconds": 1.5, "cpu_seconds": 1.4},
            }
        ],
    },
}


def cells(text, start):
    """The cells of the table row that starts with some words."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    (row,) = (row for row in rows if row[: len(start)] == start)
    return row[len(start) :]


def test_the_page_is_what_the_committed_results_say():
    """Whoever takes measurements anew writes the page anew."""
    text = performance_page.page(performance_page.read(performance_page.RESULTS))
    assert performance_page.PAGE.read_text(encoding="utf-8") == text


def test_the_page_compares_medians_with_the_field_s_bare_step():
    """0.4 s against 0.5 s is 1.25 times; 10^9 multiply-adds in 0.4 s are a quarter of the peak."""
    text = performance_page.page(RESULTS)
    ours = cells(text, ["wrn-40-2 -> wrn-16-2", "kdbench, nhwc"])

    assert ours == ["160", "1.25", "1.25", "25 %", "128", "1.00", "25 %", "3"]
    assert "Bf16 is left out: no such arithmetic." in text


def test_the_step_of_a_search_is_the_mean_over_its_kinds():
    """A quarter at 1 s and three quarters at 2 s are 1.75 s: 3.5 KD steps of 0.5 s."""
    text = performance_page.page(RESULTS)

    assert cells(text, ["**whole search**"]) == ["100 %", "1.75", "**3.50**"]
    assert "convolutions, forward 100 %." in text


def test_distpro_s_step_and_a_frozen_teacher_are_set_against_what_they_replace():
    """2 s are 4 times faster than 8; 0.2 s off a KD step of 1 s make it 1.25 times faster."""
    text = performance_page.page(RESULTS)

    assert cells(text, ["kdbench"]) == ["2.00", "4.00", "4.50"]
    assert cells(text, ["wrn-40-2 -> wrn-16-2", "frozen"]) == ["400", "1.50", "1.25", "1e-06"]
    assert "| 6.2 ± 0.8 %" in text and "| yes" in text


def test_reports_and_plans_are_shown_by_the_clock_and_of_the_cpu():
    """Seconds of the CPU stand in brackets, records and runs with their thousands apart."""
    text = performance_page.page(RESULTS)

    times = ["12.0 (11.5)", "9.0 (8.5)", "9.1 (8.6)"]
    assert cells(text, ["made up", "3,008"]) == [*times, "20.1 MiB", "1.5 MiB"]
    assert cells(text, ["snakemake -n", "1,359"]) == ["2.4 (2.3)", "2.0 (1.9)", "1.5 (1.4)"]


def test_a_step_of_a_gpu_is_set_against_both_peaks():
    """One that failed says why."""
    text = performance_page.page({"gpu_grid": RESULTS["gpu_grid"]})

    kd = ["NHWC", "yes", "4.00", "32,000", "20.0", "100 %", "5 %", "0.50"]
    assert cells(text, ["kd", "bf16"]) == kd
    assert "RuntimeError: no memory" in text
    assert "kd in bf16: batch norms 75 %, convolutions, forward 25 %." in text


@pytest.mark.parametrize("count", range(len(RESULTS) + 1))
def test_whatever_was_measured_makes_a_page(count):
    """Each benchmark that has not run has a line with its command in place of a table."""
    for names in combinations(RESULTS, count):
        text = performance_page.page({name: RESULTS[name] for name in names})

        missing = {name for name in RESULTS if f"Not measured: `python benchmarks/{name}" in text}
        assert missing == set(RESULTS) - set(names)
        assert text.count("\n## ") == len(RESULTS)


def test_without_the_field_s_side_nothing_is_compared():
    """Its column stays empty; our speeds stand."""
    alone = {**RESULTS["kd_step"], "rows": RESULTS["kd_step"]["rows"][1:]}
    row = cells(performance_page.page({"kd_step": alone}), ["wrn-40-2 -> wrn-16-2"])

    assert row[1:3] == ["160", ""] and row[4] == ""


def test_the_check_fails_where_the_page_is_another(tmp_path):
    """It writes nothing; after the page was written it passes."""
    page = tmp_path / "performance.md"
    command = [sys.executable, str(BENCHMARKS / "performance_page.py"), "--page", str(page)]
    check = [*command, "--check"]

    assert subprocess.run(check, capture_output=True).returncode == 1 and not page.exists()
    subprocess.run(command, check=True, capture_output=True)
    assert subprocess.run(check, capture_output=True).returncode == 0
    page.write_text(page.read_text() + "more\n")
    assert subprocess.run(check, capture_output=True).returncode == 1


def test_turns_go_forwards_then_backwards_and_measure_every_contender_as_often():
    """Each works once beforehand; rounds end with the time, but not before the fewest."""
    order = []
    contenders = {
        name: turns.Contender(lambda name=name: order.append(name), repeats=2) for name in "ab"
    }
    assert turns.take_turns(contenders, 0.0, least=2) == 2

    assert "".join(order) == "ab" + "aabb" + "bbaa"
    assert [len(contender.seconds) for contender in contenders.values()] == [2, 2]
    assert turns.take_turns(contenders, 60.0, least=1, most=4) == 4


def test_every_kind_of_operation_is_told_by_its_name():
    """Backward before forward; what fits nowhere is other."""
    kinds = [operations.kind_of(name) for name in ("aten::mkldnn_convolution", "aten::relu")]
    assert kinds == ["convolutions, forward", operations.OTHER]
    assert operations.kind_of("ConvolutionBackward0") != operations.kind_of("aten::conv2d")
    assert operations.kind_of("aten::convolution_backward") == "convolutions, backward"
