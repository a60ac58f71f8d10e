"""Training steps of every method on several ranks against those of one process, in float64."""

import pytest
import torch
from on_ranks import on_ranks
from torch import randn
from whole_steps import CLASSES, NAMES, make, state

from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.order import Part
from kdbench.engine import ranks
from kdbench.engine.position import TrainingPosition
from kdbench.engine.synchronised_norms import SynchronisedNorms
from kdbench.evaluate.tasks import TASKS
from kdbench.exhibits.tasks import IGNORED

IMAGES, STEPS = 8, 2
ROUNDING = 1e-5  # some losses compute in float32
# What these learn from is a comparison of images, or of gradients, which a rank has of its own.
APART = ("cc", "dist", "london", "mlld", "pkt", "rkd", "sckd", "sp")
REFUSED = ("l2t_ww",)  # by the phase, see `kdbench.runs.training`


def batch(number):
    """This rank's part of a batch."""
    rng = torch.Generator().manual_seed(number)
    images = randn(IMAGES, 3, 16, 16, generator=rng)
    labels = torch.randint(CLASSES, (IMAGES,), generator=rng)
    index = torch.randperm(24, generator=rng)[:IMAGES]
    own = Part(ranks.at_work().rank, ranks.size()).of(IMAGES)
    return Batch(images[own], labels[own], index[own])


def trained(names, *, synchronised=True):
    """What each method's steps leave, by method; the first rank's."""
    left = {}
    for name in names:
        torch.manual_seed(0)
        step, parts = make(name)
        with SynchronisedNorms() if synchronised else torch.enable_grad():
            for number in range(STEPS):
                step(batch(number), TrainingPosition(number, 100, 9, 10))
        ranks.require_alike({name: part.state_dict() for name, part in parts.items()}, name)
        left[name] = {key: value.clone() for key, value in state(parts).items()}
    return left


def furthest(ours, theirs):
    """The largest difference of two states, in units of the largest number of a tensor."""
    assert ours.keys() == theirs.keys()
    return max(
        float((ours[key] - value).abs().max() / value.abs().max().clamp(min=1e-9))
        for key, value in theirs.items()
        if value.is_floating_point() and value.numel()
    )


def differences(names, size, **how):
    """By method, how far ranks are from one process."""
    (expected,) = on_ranks(1, trained, names)
    found, *_ = on_ranks(size, lambda: trained(names, **how))
    return {name: furthest(found[name], expected[name]) for name in names}


def test_two_ranks_leave_what_one_process_leaves(float64):
    """Weights, connectors, momenta, running statistics and memories, norms synchronised."""
    names = ["reviewkd", "crd"]
    assert max(differences(names, 2).values()) < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_ranks_leave_what_one_process_leaves_for_every_mean_over_images(float64, size):
    """All others are those that docs/ranks.md names."""
    names = [name for name in NAMES if name not in REFUSED]
    by_method = differences(names, size)

    assert {name for name, difference in by_method.items() if difference > ROUNDING} == set(APART)


@pytest.mark.slow
def test_norms_of_their_own_move_ranks_far_from_one_process(float64):
    """So far are published recipes from another number of GPUs: the figure is printed."""
    difference = differences(["kd"], 2, synchronised=False)["kd"]
    print(f"two steps, two ranks, norms per rank: {difference:.1e} of the largest number")

    assert difference > 1e-4


def pixel_loss():
    """The mean over ranks of the loss of masks that ignore unequally many pixels."""
    rng = torch.Generator().manual_seed(3)
    logits = randn(IMAGES, CLASSES, 4, 4, generator=rng)
    masks = torch.randint(CLASSES, (IMAGES, 4, 4), generator=rng)
    masks[:3] = IGNORED
    own = Part(ranks.at_work().rank, ranks.size()).of(IMAGES)
    return ranks.mean(TASKS["segmentation"].loss(logits[own], masks[own])).item()


def test_pixels_count_alike_on_whatever_rank_they_are(float64):
    """A rank with many ignored pixels counts less, as its pixels do in one process."""
    (expected,) = on_ranks(1, pixel_loss)
    assert on_ranks(2, pixel_loss) == pytest.approx([expected] * 2, rel=1e-12)
