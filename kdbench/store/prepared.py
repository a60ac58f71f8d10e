"""Whether finished runs saw the images that their data set holds today."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kdbench.errors import DamagedData, UserError
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.teacher_runs import ComputingRun, DataRun

META = "meta.json"  # describes what lies in a folder of prepared data
AGAIN = "prepare the data set again"
SHOWN = 12  # digits of a fingerprint in a line


def read_meta(folder: Path) -> dict[str, Any]:
    """The description of a prepared data set.

    Raises:
        UserError: there is none.
        DamagedData: it is no JSON object.
    """
    path = folder / META
    if not path.is_file():
        raise UserError(f"{folder}: no prepared data set here (no {META}); {AGAIN}")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedData(path, f"no JSON ({error})", "a JSON object", AGAIN) from error
    if not isinstance(meta, dict):
        raise DamagedData(path, f"a {type(meta).__name__}", "a JSON object", AGAIN)
    return meta


class ChangedData(NamedTuple):
    """A data set that was prepared again from other images than a run's copy was made from.

    Attributes:
        source: where it is prepared.
        current: fingerprint of what is there.
        used: fingerprint of what was copied.
        advice: both ways on.
    """

    source: Path
    current: str
    used: str
    advice: str


def changed_data(run: DataRun, record: Mapping[str, Any], paths: Paths) -> ChangedData | None:
    """What became of the data set that a run of the data phase copied; None where it is the same.

    Args:
        run: of real images, or of a stand-in, which is copied from nowhere.
        record: of that run.
        paths: of the project.

    Raises:
        DamagedData: the description of what is prepared today is no JSON object.
    """
    source = paths.data / run.dataset
    used = record.get("metrics", {}).get("source_fingerprint")
    if not used or not (source / META).is_file():
        return None
    current = str(read_meta(source).get("fingerprint"))
    if current == used:
        return None
    advice = (
        "finished runs saw the older images: prepare those again, or, to begin anew with these, "
        f"delete results/{run.scale}/*/*/{run.dataset}"
    )
    return ChangedData(source, current[:SHOWN], str(used)[:SHOWN], advice)


def stale(records: Iterable[tuple[RunSpec, Mapping[str, Any]]], paths: Paths) -> Iterator[str]:
    """A sentence for every data set whose finished runs saw other images than it holds today.

    Either what was prepared in `data/` has changed, or the copy in `results/` was made anew and
    records of older copies are still there.

    Args:
        records: finished runs with their records, those of the data phase among them.
        paths: of the project.
    """
    finished = list(records)
    copies = {run.digest: (run, record) for run, record in finished if isinstance(run, DataRun)}
    others = Counter(
        run.data.digest
        for run, record in finished
        if isinstance(run, ComputingRun)
        and run.data.digest in copies
        and _differ(record, copies[run.data.digest][1])
    )
    for digest, (run, record) in copies.items():
        if change := changed_data(run, record, paths):
            yield (
                f"{run.dataset}: {change.source} was prepared again from other images (fingerprint "
                f"{change.current}, not {change.used} as in {paths.record(run)}); {change.advice}"
            )
        if others[digest]:
            runs = "run" if others[digest] == 1 else "runs"
            yield (
                f"{run.dataset}: {others[digest]} finished {runs} saw other images than "
                f"{paths.record(run)} describes; delete their records to do them again"
            )


def _differ(record: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Whether a run saw other images than those of a copy; not where either does not say."""
    seen, copied = (one.get("provenance", {}).get("data_fingerprint") for one in (record, data))
    return bool(seen and copied and seen != copied)
