"""What a run is measured on: the test images, or training images that it holds out."""

from kdbench.data.loaders import splits
from kdbench.data.stored.open import Stored
from kdbench.engine.seeds import derive
from kdbench.exhibits.recipe import Recipe
from kdbench.runs import assemble
from kdbench.runs.assemble import Loader
from kdbench.runs.job import BEST, LAST, Job
from kdbench.store.spec import RunSpec

SEED = 0  # the same images for every run, so that they can be compared


def looking_loaders(job: Job, data: Stored) -> tuple[Loader, Loader]:
    """What a training fits, and what it is measured on after its epochs."""
    training = (data.training_only(), "train", job.recipe, job.seed, job.precision)
    measured = measured_loader(job, job.spec, data, job.recipe)
    if "held_out" not in job.spec.params:
        return assemble.make_loader(*training), measured
    return assemble.make_loader(*training, index=fitted(job.spec, data)), measured


def measured_loader(job: Job, spec: RunSpec, data: Stored, recipe: Recipe) -> Loader:
    """Serves, in order and without augmentation, what a run is measured on.

    Test images are out of reach where the specification holds training images out.
    """
    rest = (recipe, 0, job.precision)
    if "held_out" not in spec.params:
        return assemble.make_loader(data, "test", *rest, purpose="test")
    _, held = places(spec, data)
    return assemble.make_loader(data.training_only(), "train", *rest, index=held, purpose="test")


def remark(spec: RunSpec) -> list[str]:
    """For the record's notes."""
    if "held_out" not in spec.params:
        return []
    share = f"{spec.params['held_out']:g}"
    return [f"measured on {share} of the training images, held out, and on no test image"]


def fitted(spec: RunSpec, data: Stored) -> splits.Index | None:
    """Positions of the training images that a run may see; None for all of them."""
    return places(spec, data)[0] if "held_out" in spec.params else None


def teacher_weights(spec: RunSpec) -> str:
    """The file of its teacher's weights that a run takes; see `RunSpec.teacher_epoch`."""
    return BEST if spec.teacher_epoch == "best" else LAST


def places(spec: RunSpec, data: Stored) -> tuple[splits.Index, splits.Index]:
    """Positions of the training images to fit and of those to measure on, disjoint."""
    seed = derive(SEED, "choosing") % 2**32
    return splits.held_out(len(data.labels("train")), float(spec.params["held_out"]), seed)
