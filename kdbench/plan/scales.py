"""Scales: how much of a published experiment is run; each setting has its reason beside it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

# Upper ends keep a typing error from a plan that no machine can hold; no protocol is near them.
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Epochs = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Seeds = Annotated[int, Field(strict=True, ge=1, le=100)]
Threads = Annotated[int, Field(strict=True, ge=1, le=1024)]
Share = Annotated[float, Field(strict=True, gt=0, le=1)]
Factor = Annotated[float, Field(strict=True, ge=1e-6, le=1000)]
Ranks = Annotated[int, Field(strict=True, ge=1, le=4096)]
Switch = Annotated[bool, Field(strict=True)]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a scale changes; None leaves a setting as published.

    Attributes:
        name: of the scale.
        stand_in: whether bundled digits take the data sets' place.
        train_share: share of the training images, the same for every class.
        teacher_epochs, student_epochs, search_epochs: lengths of the trainings.
        steps_per_epoch: an epoch ends after so many batches.
        batch: images per step.
        lr_factor: multiplies every learning rate of the recipe.
        seeds: student runs of a cell.
        lead_seeds: student runs of a cell in the first column of tables that request them.
        evaluate_every: epochs between two evaluations on the test set.
        teacher_epoch: at which epoch searches and students take their teacher: "reported" is the
            protocol's own, for most the best on the test set, so that test labels choose it;
            "last" looks at no test image.
        precision: "float32"; "tf32" (float32 whose convolutions round to 10 bits, on GPUs that
            have it), "bf16" (autocast) or "fp16" (autocast, the loss scaled so that gradients keep
            their range), declared deviations at the paper scale. Searches, whose differences need
            more, compute in float32 under "fp16".
        channels_last: memory format of images and networks.
        fold_teacher: students see their teacher with its norms folded into its convolutions
            (`kdbench.models.folding`): faster, and other bits.
        images_at_once: images of a batch that are computed together: the gradients of parts add up
            to those of the published batch, for which memory may be too small. Batch norms, and
            losses that compare images with each other, see a part. Not for searches.
        decode: what decodes JPEGs that stay encoded (ImageNet's): "cpu", or "gpu", NVIDIA's nvJPEG.
            Pixels differ by a few levels, so runs are others; other data sets' runs stay.
        ranks: processes that train a teacher or student, or search, together: one per GPU, each on
            an equal part of every batch. Bits depend on it, so it belongs to a run's identity where
            it is not 1. params.yaml's own `ranks` goes before it. docs/ranks.md.
        synchronise_norms: of several ranks, batch norms see the images of all, as one process
            would; otherwise those of their own rank, as published recipes on several GPUs have it.
        threads: CPU threads of a rank. Bits depend on it, so it belongs to a run's identity.
        teacher_threads: those of a teacher, which all rows wait for while other cores are idle;
            None: as `threads`.
        cells_per_job: so many cells, students and their evaluation, are one job of Snakemake's:
            where a run takes seconds, starting Python costs more than the run. None: one per run.
        notice: the banner over every exhibit of this scale; empty where verdicts apply.
    """

    name: str
    stand_in: Switch = False
    train_share: Share = 1.0
    teacher_epochs: Epochs | None = None
    student_epochs: Epochs | None = None
    search_epochs: Epochs | None = None
    steps_per_epoch: Count | None = None
    batch: Count | None = None
    lr_factor: Factor = 1.0
    seeds: Seeds | None = None
    lead_seeds: Seeds | None = None
    evaluate_every: Epochs = 1
    teacher_epoch: Literal["reported", "last"] = "reported"
    precision: Literal["float32", "tf32", "bf16", "fp16"] = "float32"
    images_at_once: Annotated[int, Field(strict=True, ge=2, le=1_000_000)] | None = None
    channels_last: Switch = False
    fold_teacher: Switch = False
    decode: Literal["cpu", "gpu"] = "cpu"
    ranks: Ranks = 1
    synchronise_norms: Switch = False
    threads: Threads = 1
    teacher_threads: Threads | None = None
    cells_per_job: Count | None = None
    notice: str = ""


SMOKE = Scale(
    name="smoke",
    stand_in=True,
    # After 20 steps the running statistics of deep teachers are so far off that their maps
    # explode and no search moves; 60 steps at a fifth of the rate give teachers worth asking.
    teacher_epochs=30,
    lr_factor=0.2,
    student_epochs=4,  # 8 steps per student: every phase of a schedule is met
    search_epochs=8,
    steps_per_epoch=2,
    batch=16,  # with the memory format, half the time of batches of 32 in the other
    channels_last=True,
    seeds=1,
    lead_seeds=3,
    evaluate_every=2,
    cells_per_job=4,
    notice=(
        "Scale smoke: scikit-learn's digits stand in for the data set and a student has 8 steps. "
        "This shows that everything works. The numbers say nothing about the methods and are NOT "
        "comparable with the published ones beside them."
    ),
)

LITE = Scale(
    name="lite",
    train_share=0.1,
    teacher_epochs=20,
    student_epochs=8,
    search_epochs=3,
    seeds=1,
    evaluate_every=4,
    precision="bf16",
    channels_last=True,
    # Two jobs of one thread finish sooner than one job of two, and a job of two threads that must
    # share its cores with anything else waits for itself: measured 5.3 s a step instead of 2.0.
    threads=1,
    notice=(
        "Scale lite: real images, but a share of the training images and a fraction of the "
        "published epochs. At most the order of the methods means something; the values are NOT "
        "comparable with the published ones beside them."
    ),
)

PAPER = Scale(name="paper", channels_last=True)

SCALES = {scale.name: scale for scale in (SMOKE, LITE, PAPER)}
