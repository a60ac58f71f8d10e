"""How a process learns that it is one of several."""

import pytest
import torch

from kdbench.engine import joining
from kdbench.engine.joining import Place, meet, patience, place_of
from kdbench.errors import BadValue

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "host", "MASTER_PORT": "2950"}
SLURM = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1"}
JOB = {"SLURM_JOB_ID": "77", "SLURM_STEP_ID": "2", "SLURM_STEP_NUM_NODES": "1"}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, None),
        ({**TORCHRUN, "LOCAL_RANK": "1"}, Place(1, 2, 1, "host", 2950)),
        (TORCHRUN, Place(1, 2, 0, "host", 2950)),
        ({**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"}, None),
        ({**SLURM, **JOB}, Place(3, 4, 1, "127.0.0.1", 20000 + 97 * 77 + 2)),
        ({**SLURM, **JOB, "MASTER_ADDR": "a", "MASTER_PORT": "9"}, Place(3, 4, 1, "a", 9)),
        # A batch script with several tasks, in which nobody called srun; a step of one task.
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, None),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}, None),
    ],
)
def test_the_environment_says_a_process_its_place(environment, place):
    """That of torchrun or a person, or that of Slurm's srun; else it is alone."""
    assert place_of(environment) == place


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"RANK": "2"}, "environment, RANK: found 2, expected a number below 2"),
        ({"MASTER_PORT": ""}, "environment, MASTER_PORT: found '', expected a value"),
        ({"WORLD_SIZE": "two"}, "environment, WORLD_SIZE: found 'two', expected a whole number"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(change, line):
    """In one line that names the variable."""
    with pytest.raises(BadValue, match=line):
        place_of({**TORCHRUN, **change})


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf"])
def test_ranks_wait_for_a_time(text):
    """KDBENCH_RANK_TIMEOUT, in seconds."""
    assert patience({}) == 600
    assert patience({"KDBENCH_RANK_TIMEOUT": "7.5"}) == 7.5
    with pytest.raises(BadValue, match="KDBENCH_RANK_TIMEOUT"):
        patience({"KDBENCH_RANK_TIMEOUT": text})


@pytest.mark.parametrize(("gpus", "backend"), [(False, "gloo"), (True, "cpu:gloo,cuda:nccl")])
def test_tensors_of_a_gpu_go_by_nccl(monkeypatch, gpus, backend):
    """And those of a CPU by gloo, also where there are GPUs."""
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus)
    monkeypatch.setattr(
        joining, "rendezvous", lambda *_, **__: iter([(torch.distributed.HashStore(),)])
    )
    monkeypatch.setattr(joining.dist, "init_process_group", lambda name, **_: asked.append(name))
    monkeypatch.setattr(joining.dist, "all_reduce", lambda tensor: None)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
    meet(Place(0, 2, 0, "host", 2950), 1.0)

    assert asked == [backend]
