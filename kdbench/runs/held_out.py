"""What a run is measured on: the test images, or training images that it holds out."""

from kdbench.data.loaders import splits
from kdbench.data.stored.open import Stored
from kdbench.data.stored.twins import groups
from kdbench.engine.precision import Precision
from kdbench.engine.seeds import derive
from kdbench.runs import assemble
from kdbench.runs.assemble import Loader
from kdbench.runs.job import BEST, LAST
from kdbench.store.student_runs import EvaluationRun, MeasuredRun, TaughtRun
from kdbench.store.teacher_runs import TeacherRun

SEED = 0  # the same images for every run, so that they can be compared


def training_loaders(
    run: TeacherRun | TaughtRun, data: Stored, precision: Precision
) -> tuple[Loader, Loader]:
    """What a training fits, and what it is measured on after its epochs."""
    training = (data.training_only(), "train", run.recipe, run.seed, precision)
    measured = measured_loader(run, data, precision)
    return assemble.make_loader(*training, index=fitted(run, data)), measured


def measured_loader(run: MeasuredRun | TaughtRun, data: Stored, precision: Precision) -> Loader:
    """Serves, in order and without augmentation, what a run is measured on.

    Test images are out of reach where the specification holds training images out.
    """
    settings = (run.recipe, 0, precision)
    if not run.tuning_holdout:
        return assemble.make_loader(data, "test", *settings, purpose="test")
    _, held_out = places(run.tuning_holdout, data)
    only = data.training_only()
    return assemble.make_loader(only, "train", *settings, index=held_out, purpose="test")


def remark(run: MeasuredRun | EvaluationRun) -> list[str]:
    """For the record's notes."""
    if not run.tuning_holdout:
        return []
    share = f"{run.tuning_holdout:g}"
    return [f"measured on {share} of the training images, held out, and on no test image"]


def fitted(run: TeacherRun | TaughtRun, data: Stored) -> splits.Index | None:
    """Positions of the training images that a run may see; None for all of them."""
    return places(run.tuning_holdout, data)[0] if run.tuning_holdout else None


def teacher_weights(run: TaughtRun) -> str:
    """The file of its teacher's weights that a run takes; see `TaughtRun.teacher_epoch`."""
    return BEST if run.teacher_epoch == "best" else LAST


def places(share: float, data: Stored) -> tuple[splits.Index, splits.Index]:
    """Positions of the training images to fit and of those to measure on; no image is in both."""
    seed = derive(SEED, "choosing") % 2**32
    return splits.held_out(groups(data.together("train")), share, seed)
