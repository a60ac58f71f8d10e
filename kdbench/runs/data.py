"""The data phase: the data set of a scale, whole, a share of it, or a stand-in."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.data.ingest.prepare import prepare_stand_in, provide
from kdbench.data.loaders import splits
from kdbench.data.stored import arrays, maps, shards
from kdbench.data.stored.maps import Mapped
from kdbench.data.stored.open import Stored, open_data, verify_data
from kdbench.data.stored.shards import Sharded
from kdbench.data.stored.twins import TRAIN, in_words, known_twins
from kdbench.plan.components import find_components
from kdbench.runs.job import PREPARED, Job, PhaseResult
from kdbench.runs.panels import panels_of_data
from kdbench.store.teacher_runs import DataRun


def run_data(job: Job[DataRun]) -> PhaseResult:
    """Put the prepared data set of this scale into the run's folder."""
    run, target, source = job.spec, job.folder / PREPARED, None
    if run.stand_in:
        declared = _declared(run, run.stand_in.name)
        prepare_stand_in(run.dataset, run.stand_in.as_dict(), declared, target)
    else:
        source = provide(job.paths.data, _declared(run, run.dataset))
        if job.paths.record(run).is_file():  # made again: what was linked may be damaged here too
            verify_data(job.paths.data / run.dataset)
        if run.train_share < 1:
            _take(source, target, run.train_share)
        else:
            _link(job.paths.data / run.dataset, target)
    data = open_data(target)
    metrics = _describe(data, source)
    notes = []
    if source and any(count for split, count in metrics["twins"].items() if split != TRAIN):
        notes.append(in_words(metrics["twins"], metrics["images"]))
    return PhaseResult(
        metrics=metrics,
        extra=panels_of_data(data),
        notes=notes,
        data_fingerprint=data.fingerprint,
    )


def _declared(run: DataRun, name: str) -> dict[str, Any]:
    """A data set's declaration; a plug-in's lies beside the code that the run names."""
    folders = [str(Path(module).parent) for module in run.modules]
    return find_components(folders).get("dataset", name, where="data").described


def _take(data: Stored, target: Path, share: float) -> None:
    """Write a class-balanced share of the training images and all of the other splits."""
    chosen = splits.take_share(np.asarray(data.labels("train")), share)
    if isinstance(data, Sharded):
        shards.take(data, target, {"train": chosen})
        return
    if isinstance(data, Mapped):
        maps.take(data, target, {"train": chosen})
        return
    pixels: dict[str, Any] = {s: (data.images(s), data.labels(s)) for s in data.splits}
    pixels["train"] = (data.images("train")[chosen], data.labels("train")[chosen])
    arrays.write(target, data.name, pixels, data.classes)


def _link(source: Path, target: Path) -> None:
    """Put the whole data set there, without a second copy where the file system allows it."""
    target.mkdir(parents=True, exist_ok=True)
    for file in source.glob("[!.]*"):
        (target / file.name).unlink(missing_ok=True)
        try:
            os.link(file, target / file.name)
        except OSError:
            shutil.copy2(file, target / file.name)


def _describe(data: Stored, source: Stored | None) -> dict[str, Any]:
    return {
        "images": {split: len(data.labels(split)) for split in data.splits},
        "twins": known_twins(data),
        "classes": len(data.classes),
        "image": list(data.image),
        "mean": list(data.mean),
        "std": list(data.std),
        "stand_in": data.stand_in,
        "fingerprint": data.fingerprint,
        "source_fingerprint": source.fingerprint if source else None,
    }
