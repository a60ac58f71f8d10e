"""How a process learns that it is a rank of several, and finds the others.

torchrun says it in variables of the environment, which a person can set as well; so does Slurm's
srun, in others. A process that nobody says it to works alone.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from kdbench.errors import BadValue, UserError

TIMEOUT = "KDBENCH_RANK_TIMEOUT"  # environment: seconds that ranks wait for each other
PATIENCE = 600.0
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
OF_SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
FIRST_PORT, PORTS = 20000, 20000  # of the ports that Slurm's jobs take, one each


@dataclass(frozen=True)
class Place:
    """A process among the ranks.

    Attributes:
        rank: from 0.
        size: how many there are.
        local: how many ranks before it are on its machine.
        address, port: where the first rank, or what started all, can be reached.
    """

    rank: int
    size: int
    local: int
    address: str
    port: int


def place_of(environment: Mapping[str, str]) -> Place | None:
    """The place that the environment says; None where it says none, or that of a process alone.

    Raises:
        BadValue: a variable is missing or is no such number.
    """
    if "RANK" in environment or "WORLD_SIZE" in environment:
        given = {name: environment.get(name, "") for name in VARIABLES}
        local = environment.get("LOCAL_RANK", "0")
    elif _whole(environment.get(OF_SLURM[1], "1"), OF_SLURM[1]) > 1:
        rank, size, local = (environment.get(name, "") for name in OF_SLURM)
        given = dict(zip(VARIABLES, (rank, size, *_meeting_point(environment)), strict=True))
    else:
        return None
    for name, text in given.items():
        if not text:
            expected = "a value: torchrun sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT"
            raise BadValue(f"environment, {name}", text, expected)
    rank_number, size_number = (_whole(given[name], name) for name in VARIABLES[:2])
    if rank_number >= size_number:
        raise BadValue("environment, RANK", rank_number, f"a number below {size_number}")
    if size_number == 1:
        return None
    port = _whole(given["MASTER_PORT"], "MASTER_PORT")
    return Place(rank_number, size_number, _whole(local, "LOCAL_RANK"), given["MASTER_ADDR"], port)


def patience(environment: Mapping[str, str]) -> float:
    """Seconds that ranks wait for each other before they give one up.

    Raises:
        BadValue: the environment says something else.
    """
    text = environment.get(TIMEOUT, "") or str(PATIENCE)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise BadValue(f"environment, {TIMEOUT}", text, "a number of seconds above 0")
    return seconds


def meet(place: Place, seconds: float) -> Store:
    """Find the other ranks and set up PyTorch's process group; returns what ranks leave notes in.

    Tensors of a CPU go by gloo, those of a GPU by NCCL.

    Raises:
        UserError: not all of them came.
    """
    os.environ |= {"MASTER_ADDR": place.address, "MASTER_PORT": str(place.port)}
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    wait = timedelta(seconds=seconds)
    settings: dict[str, Any] = {"rank": place.rank, "world_size": place.size, "timeout": wait}
    try:
        store, *_ = next(rendezvous("env://", place.rank, place.size, timeout=wait))
        group = PrefixStore("group", store)
        dist.init_process_group(backend, store=group, **settings)
        dist.all_reduce(torch.zeros(1))  # everybody is here
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"rank {place.rank} of {place.size}: the ranks did not meet at {place.address}:"
            f"{place.port} within {seconds:g} seconds ({_first(error)}); start all of them, or set "
            f"{TIMEOUT}"
        ) from error
    return PrefixStore("kdbench", store)


def _meeting_point(environment: Mapping[str, str]) -> tuple[str, str]:
    """Address and port of a step of Slurm's, the same on all its tasks."""
    job = environment.get("SLURM_JOB_ID", "0")
    step = environment.get("SLURM_STEP_ID", "0")
    port = FIRST_PORT + (97 * _whole(job, "SLURM_JOB_ID") + _whole(step, "SLURM_STEP_ID")) % PORTS
    address = environment.get("MASTER_ADDR") or _first_node(environment)
    return address, environment.get("MASTER_PORT") or str(port)


def _first_node(environment: Mapping[str, str]) -> str:
    if environment.get("SLURM_STEP_NUM_NODES", "1") == "1":
        return "127.0.0.1"
    command = ["scontrol", "show", "hostnames", environment.get("SLURM_STEP_NODELIST", "")]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return listed.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        raise UserError(
            "scontrol does not list the nodes of this step; set MASTER_ADDR to the first one"
        ) from None


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise BadValue(f"environment, {name}", text, "a whole number")
    return int(text)


def _first(error: Exception) -> str:
    """The beginning of what an error says."""
    return " ".join(str(error).split())[:120]
