"""Timings of runs that `kdbench estimate --save` keeps, from which follows what jobs ask for.

They belong to a device of a machine, so git does not keep them; none of them changes a number.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kdbench.errors import DamagedData
from kdbench.store.atomic import write_text
from kdbench.store.disk import plain_errors

ADVICE = "delete the file; kdbench estimate --save writes it anew"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Timing(_Strict):
    """What one run takes.

    Attributes:
        seconds: of the whole run on its device.
        memory: the largest main memory meanwhile, in bytes; None where it was not measured, as for
            runs on a GPU.
    """

    seconds: float = Field(gt=0, allow_inf_nan=False)
    memory: int | None = Field(default=None, gt=0)


class Timings(_Strict):
    """What was timed on one device.

    Attributes:
        device: "cpu" or "cuda".
        name: the device's.
        node: name of the machine.
        taken: when, UTC.
        runs: by the run's digest.
    """

    device: str
    name: str
    node: str
    taken: str
    runs: dict[str, Timing]


class _File(_Strict):
    timings: list[Timings]


def read_timings(file: Path) -> list[Timings]:
    """All timings of a project, the oldest first; empty where there are none.

    Raises:
        DamagedData: the file is none of `save_timings`.
        UserError: it cannot be read.
    """
    if not file.is_file():
        return []
    with plain_errors(file):
        content = file.read_bytes()
    try:
        return _File.model_validate_json(content).timings
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        where = f"{file}, {place}" if place else str(file)
        raise DamagedData(where, first["msg"], "timings of runs", ADVICE) from None


def save_timings(file: Path, new: Timings) -> None:
    """Add timings; those of the same device and machine keep what the new ones do not replace.

    Raises:
        DamagedData: what is there is no file of timings.
    """
    older = read_timings(file)
    same = [one for one in older if (one.device, one.name, one.node) == _origin(new)]
    runs: Mapping[str, Timing] = {d: t for one in same for d, t in one.runs.items()}
    whole = new.model_copy(update={"runs": {**runs, **new.runs}})
    others = [one for one in older if one not in same]
    write_text(file, _File(timings=[*others, whole]).model_dump_json(indent=1) + "\n")


def choose_timings(
    timings: Sequence[Timings], device: str, node: str | None = None
) -> Timings | None:
    """The newest timings of a kind of device, on one machine or, without `node`, on any."""
    fitting = [t for t in timings if t.device == device and node in (None, t.node)]
    return max(fitting, key=lambda one: one.taken, default=None)


def _origin(timings: Timings) -> tuple[str, str, str]:
    return timings.device, timings.name, timings.node
