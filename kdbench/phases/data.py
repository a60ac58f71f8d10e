"""The data phase: the data set of a scale, whole, a share of it, or a stand-in."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.data import dataset, digits, sources, splits
from kdbench.data.dataset import Prepared
from kdbench.phases.job import PREPARED, Job, Outcome
from kdbench.plan.components import find_components


def run_data(job: Job) -> Outcome:
    """Put the prepared data set of this scale into the run's folder."""
    params, target = job.spec.params, job.folder / PREPARED
    if "stand_in" in params:
        options = {k: v for k, v in params["stand_in"].items() if k not in ("stand_in", "augment")}
        digits.prepare_stand_in(target, name=job.spec.dataset, **options)
        source = None
    else:
        source = stored(job.paths.data, job.spec.dataset)
        share = float(params["train_share"])
        if share < 1:
            _take(source, target, share)
        else:
            _link(job.paths.data / job.spec.dataset, target)
    data = Prepared.open(target)
    return Outcome(metrics=_describe(data, source), data_fingerprint=data.fingerprint)


def stored(
    folder: Path,
    name: str,
    source: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Prepared:
    """The project's own prepared copy of a data set; prepared first where it is absent.

    Args:
        folder: where the project keeps prepared data.
        name: the data set.
        source: a local copy; without one the official archive is downloaded if need be.
        progress: called during a download with bytes so far and in all.

    Raises:
        UserError: it is absent and its archive cannot be had; the message says how to prepare it
            from a local copy.
    """
    target = folder / name
    if source is not None or not (target / "meta.json").is_file():
        declaration = find_components().get("dataset", name, where="data").declaration
        sources.prepare({"name": name, **declaration}, source, target, progress=progress)
    return Prepared.open(target)


def _take(data: Prepared, target: Path, share: float) -> None:
    """Write a class-balanced share of the training images and all of the other splits."""
    arrays: dict[str, Any] = {s: (data.images(s), data.labels(s)) for s in data.splits}
    kept = splits.take_share(np.asarray(data.labels("train")), share)
    arrays["train"] = (data.images("train")[kept], data.labels("train")[kept])
    dataset.write(target, data.name, arrays, data.classes)


def _link(source: Path, target: Path) -> None:
    """Put the whole data set there, without a second copy where the file system allows it."""
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        (target / file.name).unlink(missing_ok=True)
        try:
            os.link(file, target / file.name)
        except OSError:
            shutil.copy2(file, target / file.name)


def _describe(data: Prepared, source: Prepared | None) -> dict[str, Any]:
    return {
        "images": {split: len(data.labels(split)) for split in data.splits},
        "classes": len(data.classes),
        "image": list(data.image),
        "mean": list(data.mean),
        "std": list(data.std),
        "stand_in": data.stand_in,
        "fingerprint": data.fingerprint,
        "source_fingerprint": source.fingerprint if source else None,
    }
