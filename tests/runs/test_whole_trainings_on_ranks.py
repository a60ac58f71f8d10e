"""Whole plans made by several ranks against one process: data, teachers, searches, students.

All of them compute in float64, where 1e-8 tells rounding from another training: in float32
rounding itself would grow to a visible difference. Each call is `kdbench run`, started as torchrun
does it.
"""

import json

import pytest
from forked import COMMAND
from rank_processes import ended, start_ranks
from safetensors.torch import load_file
from tiny_project import TinyProject, without_times

from kdbench.plan.graph import load_graph

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROUNDING = 1e-8  # DistPro's difference of two losses makes it 1e-10
SMALLEST = 1e-4  # largest number of a tensor that is more than rounding, such as means of norms
FLOAT64 = """
import torch
torch.set_default_dtype(torch.float64)
torch.float32 = torch.float = torch.float64
torch.Tensor.float = torch.Tensor.double
"""
KILLED_SOON = """
import os, signal
from kdbench.engine import fit
taken, plain = [], fit._take_step
def disturbed(*arguments):
    taken.append(1)
    if len(taken) == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(*arguments)
fit._take_step = disturbed
"""
SCALE = {
    "teacher_epochs": 3,
    "student_epochs": 3,
    "search_epochs": 3,
    "steps_per_epoch": 2,
    "evaluate_every": 1,
}
SMALL = {"pairs": ["resnet14:resnet8"], "dataset": "cifar100", "seeds": 1}
PRUNED = {**SMALL, "id": "pruned", "methods": ["none"], "pruned_by": "sbs_kl"}
SCENES = {"pairs": ["pspnet-mobilenet-v2:pspnet-mobilenet-v2"], "dataset": "camvid", "seeds": 1}
ROOMS = {"pairs": ["sparse-to-dense-resnet18:sparse-to-dense-resnet18"], "dataset": "nyuv2"}
SPACES = {
    "camvid": {"connections": "downward", "transforms": ["2conv"]},
    "nyuv2": {"maps": ["t2-s2", "t3-s3", "t5-s5"], "transforms": ["2conv"]},
}
# AB has a first part.
METHODS = ["none", "kd", "ab", "reviewkd", "ofd", "crd", "distpro", "dfa"]
DENSE = {"teacher_epochs": 2, "student_epochs": 2, "search_epochs": 2}
# By case: tables, DistPro's gradient, what is changed for the search and its method alike.
CASES = {
    "classification": ([{**SMALL, "id": "taught", "methods": METHODS}], "finite-difference", {}),
    "pruned": ([{**PRUNED, "pruned_from": "resnet14"}], "finite-difference", {}),
    "exact": ([{**SMALL, "id": "searched", "methods": ["distpro"]}], "exact", {}),
    "streaming": (
        [{**SMALL, "id": "streamed", "dataset": "imagenet", "methods": ["kd", "distpro"]}],
        "finite-difference",
        {},
    ),
    "segmentation": (
        [{**SCENES, "id": "scenes", "protocol": "camvid", "methods": ["distpro+kd_pixel"]}],
        "finite-difference",
        SPACES["camvid"],
    ),
    "depth": (
        [{**ROOMS, "id": "rooms", "protocol": "nyuv2", "methods": ["distpro+kd_depth"]}],
        "finite-difference",
        SPACES["nyuv2"],
    ),
}


def project(root, case, **scale):
    """A project planned for four ranks, which any number may make: its norms are synchronised."""
    tables, gradient, space = CASES[case]
    lengths = DENSE if space else {}
    several = {**SCALE, **lengths, "ranks": 4, "synchronise_norms": True, **scale}
    searches = {"distpro": {"gradient": gradient, **space}, "sbs_kl": {"budget": 0.6}}
    return TinyProject(
        root,
        datasets=[tables[0]["dataset"]],
        exhibits=["own"],
        pairs=[],
        seeds=1,
        tables=tables,
        methods={"distpro": space} if space else {},
        searches=searches,
        scales={"smoke": several},
    )


def evaluations(made):
    """All of a plan: `kdbench run` makes what they need too."""
    planned = load_graph(made.root).runs.values()
    return [f"{run.phase}/{run.cell}" for run in planned if run.phase == "evaluation"]


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Makes a case's whole plan by a number of ranks, once."""
    done = {}

    def made_by(size, case, **scale):
        key = (size, case, *scale.items())
        if key not in done:
            made = project(tmp_path_factory.mktemp("made") / "project", case, **scale)
            ranks = start_ranks(made, size, *evaluations(made), code=FLOAT64 + COMMAND)
            codes, printed = ended(ranks, 900)
            assert codes == [0] * size, printed
            done[key] = made
        return done[key]

    return made_by


def records(made):
    """The records of all runs, by phase and cell."""
    planned = load_graph(made.root).runs.values()
    return {
        f"{run.phase}/{run.cell}": json.loads(made.paths.record(run).read_text()) for run in planned
    }


def left(made):
    """Every weight and what searches found, by the cell, its file and the tensor; float64."""
    return {
        f"{file.parent.name.partition('.')[0]} {file.name} {name}": tensor
        for file in sorted((made.root / "results").rglob("*.safetensors"))
        for name, tensor in load_file(file).items()
        if tensor.is_floating_point() and tensor.numel()
    }


def furthest(made, other):
    """The largest difference of two plans' tensors, by cell, in units of a tensor's largest."""
    ours, theirs = left(made), left(other)
    assert ours.keys() == theirs.keys()
    by_cell = {}
    for name, tensor in theirs.items():
        distance = float((ours[name] - tensor).abs().max() / tensor.abs().max().clamp(min=SMALLEST))
        cell = name.partition(" ")[0]
        by_cell[cell] = max(by_cell.get(cell, 0.0), distance)
    return by_cell


def numbers(content, name=""):
    """Every number of a record's metrics and curves but latencies, by where it stands."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from numbers(value, f"{name}.{key}") if key != "latency" else ()
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from numbers(value, f"{name}.{place}")
    elif isinstance(content, int | float):
        yield name, content


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_a_whole_plan_ends_alike_on_any_number_of_ranks(make, case, size):
    """Weights, schemes, structures, scores, best epochs and curves; records say who made them."""
    alone, shared = make(1, case), make(size, case)

    assert max(furthest(shared, alone).values()) < ROUNDING
    for name, record in records(shared).items():
        expected = records(alone)[name]
        assert record["provenance"]["ranks"] == size
        for part in ("metrics", "curves", "structure"):
            ours, theirs = (dict(numbers(one.get(part))) for one in (record, expected))
            assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-8), f"{name}, {part}"
        if not name.startswith(("data", "evaluation")):
            notes = [note for note in record["notes"] if f"made by {size}" in note]
            assert len(notes) == (size != 4), record["notes"]


def test_whole_trainings_with_norms_per_rank_are_others(make):
    """How far two ranks end from one process where nothing is synchronised is printed."""
    by_cell = furthest(make(2, "exact", ranks=2, synchronise_norms=False), make(1, "exact"))
    for cell, distance in by_cell.items():
        print(f"{cell}, two ranks, norms per rank: {distance:.1e} of the largest number")

    assert min(by_cell.values()) > 1e-4


@pytest.mark.parametrize("case", ["exact", "streaming"])
def test_a_plan_killed_again_and_again_ends_in_the_same_bits(make, tmp_path, case):
    """The last rank dies in the 8th step of every process: in each phase, and between them."""
    whole, made = make(2, case), project(tmp_path / "project", case)
    kills, codes = 0, [1]
    while any(codes):
        last = {1: FLOAT64 + KILLED_SOON + COMMAND}
        ranks = start_ranks(made, 2, *evaluations(made), code=FLOAT64 + COMMAND, codes=last)
        codes, printed = ended(ranks)
        kills += any(codes)
        assert kills < 6, printed

    assert kills >= 2
    assert made.files() == whole.files()
    for name, record in records(made).items():
        expected = records(whole)[name]
        for one in (record, expected):
            one["cost"].pop("scaling_efficiency", None)
            one.get("metrics", {}).pop("latency", None)
        assert without_times(record) == without_times(expected)
