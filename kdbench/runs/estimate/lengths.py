"""How long a run is: its steps and its looks at test images, from declared sizes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from kdbench.data.loaders.order import steps_of
from kdbench.data.stored.maps import TYPES
from kdbench.errors import BadValue
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.tasks import CLASSIFICATION, outputs
from kdbench.plan.components import Components
from kdbench.runs.search import VALID
from kdbench.store.paths import Paths
from kdbench.store.record import read_record
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import DataRun, TeacherRun

FitRun: TypeAlias = TeacherRun | SearchRun | StudentRun
PLACE = "estimate"  # for errors
FEW_STEPS = 20  # per epoch: fewer than that, and a short training learns nothing


@dataclass(frozen=True)
class DataSize:
    """What a prepared data set is, as far as time and memory depend on it.

    Attributes:
        image: (C, H, W).
        classes: number of classes.
        counts: images by split.
        encoded: bytes of its files where images stay encoded; 0 where they are arrays of pixels.
        task: what is learned on it.
    """

    image: tuple[int, int, int]
    classes: int
    counts: Mapping[str, int]
    encoded: int = 0
    task: str = CLASSIFICATION

    @property
    def pixels(self) -> int:
        """Bytes of all images as arrays, one byte per value."""
        channels, height, width = self.image
        return sum(self.counts.values()) * channels * height * width

    @property
    def bytes(self) -> int:
        """Bytes of the prepared folder: images, their maps, and 8 bytes per label."""
        count, pixels = sum(self.counts.values()), self.image[1] * self.image[2]
        maps = 0 if self.task == CLASSIFICATION else count * pixels * TYPES[self.task]().nbytes
        return (self.encoded or self.pixels) + maps + 8 * count


def data_size(run: DataRun, components: Components, paths: Paths) -> DataSize:
    """The size of a run's data: as its record says it, else as it is declared.

    The images of a stand-in are split class by class; before it is prepared, its classes count as
    equally large, which may be a few images off.

    Args:
        run: prepares the data.
        components: the declarations.
        paths: of the project.

    Raises:
        BadValue: a plug-in's data set that does not declare its size.
    """
    name = run.stand_in.name if run.stand_in else run.dataset
    declared = components.get("dataset", name, where=PLACE).declaration
    if not declared.image or not declared.classes or not (declared.splits or declared.images):
        expected = "image, classes and splits in its declaration"
        raise BadValue(f"{name}.toml", "not all of them", expected, "they say how long runs are")
    channels, height, width = declared.image
    archives = sum(archive.size or 0 for archive in declared.archives.values())
    classes = outputs(run.task, declared.classes)
    return DataSize(
        (channels, height, width),
        classes,
        _counts(run, declared.splits, declared.images or 0, classes, paths),
        round(archives * run.train_share),
        run.task,
    )


def _counts(
    run: DataRun, splits: Mapping[str, int], images: int, classes: int, paths: Paths
) -> dict[str, int]:
    record = paths.record(run)
    if record.is_file():
        measured: dict[str, int] = read_record(record)["metrics"]["images"]
        return measured
    if run.stand_in is None:
        share = classes * max(1, round(run.train_share * splits["train"] / classes))
        return {**splits, "train": share if run.train_share < 1 else splits["train"]}
    return _stand_in_counts(run.stand_in.settings, images, classes)


def _stand_in_counts(settings: Mapping[str, Any], images: int, classes: int) -> dict[str, int]:
    shares = {"test": settings.get("test_share", 0.0), VALID: settings.get("valid_share", 0.0)}
    held = {s: classes * round(share * images / classes) for s, share in shares.items() if share}
    return {**held, "train": images - sum(held.values())}


@dataclass(frozen=True)
class Length:
    """How long one run is.

    Attributes:
        epochs: of the main part.
        steps: of an epoch.
        looks: times that its network is measured.
        measured: images of each look.
    """

    epochs: int
    steps: int
    looks: int
    measured: int


def length_of(run: FitRun, size: DataSize) -> Length:
    """The length of a training or a search, by the rules of the loaders.

    Images that stand twice in a data set are taken for different ones: where some are held out,
    an epoch may be a step off.
    """
    held = round(size.counts["train"] * run.tuning_holdout)
    fitted = size.counts["train"] - held
    if isinstance(run, SearchRun):
        share = 0.0 if VALID in size.counts else run.search.validation_share
        fitted -= round(fitted * share)
    steps = steps_of(fitted, run.recipe.batch, run.runtime.ranks)
    steps = min(steps, run.recipe.steps_per_epoch or steps)
    if isinstance(run, SearchRun):
        return Length(run.recipe.epochs, steps, 0, 0)
    return Length(run.recipe.epochs, steps, looks_of(run.recipe), held or size.counts["test"])


def short_epochs(runs: Iterable[RunSpec], components: Components, paths: Paths) -> list[str]:
    """A line for every training set whose epochs have fewer than `FEW_STEPS` steps.

    Nothing of stand-ins, nor where a protocol or scale sets the steps of an epoch.

    Args:
        runs: planned; those that train on all images of their data run count.
        components: see `data_size`.
        paths: likewise.
    """
    lines: dict[str, None] = {}
    for run in runs:
        if not isinstance(run, TeacherRun | StudentRun) or run.recipe.steps_per_epoch:
            continue
        try:
            size = data_size(run.data, components, paths)
        except BadValue:  # a plug-in's data set that does not say how large it is
            continue
        length = length_of(run, size)
        if run.data.stand_in is None and length.steps < FEW_STEPS:
            images = size.counts["train"] - round(size.counts["train"] * run.tuning_holdout)
            lines[
                f"{run.dataset}, {run.phase}: {images:,} training images in batches of "
                f"{run.recipe.batch}: steps per epoch {length.steps}, in all "
                f"{length.steps * length.epochs:,}; scales.{run.scale} in params.yaml sets "
                f"{'train_share, ' if run.data.train_share < 1 else ''}batch and {run.phase}_epochs"
            ] = None
    return [*lines]


def looks_of(recipe: Recipe) -> int:
    """How often a training is measured: every so many epochs, and at its end.

    >>> from kdbench.exhibits.protocols import CRD
    >>> looks_of(CRD.shortened(8))
    8
    """
    whole, remainder = divmod(recipe.epochs, recipe.evaluate_every)
    return whole + (remainder > 0)
