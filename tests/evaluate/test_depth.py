"""Errors of depths: of each image and of all pixels, written out slowly beside."""

from itertools import chain
from math import log10, sqrt
from statistics import fmean

import pytest
import torch
from torch import nn

from kdbench.data.loaders.batch import Batch
from kdbench.engine.precision import Precision
from kdbench.errors import Diverged
from kdbench.evaluate.depth import NAMES, DepthErrors
from kdbench.evaluate.tasks import TASKS
from kdbench.exhibits.tables import RMSE

FLOAT32 = Precision("float32", False, torch.device("cpu"))


class Copy(nn.Module):
    """A network whose depths are the first channel of its images."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(1, 1)

    def forward(self, images):
        """(B, 1, H, W)."""
        return images[:, :1]


def batches(seed=0):
    """Two batches, of 2 and 1 images, with unmeasured pixels; guesses of every size of error."""
    rng = torch.Generator().manual_seed(seed)
    made = []
    for count in (2, 1):
        truth = 1 + 9 * torch.rand(count, 4, 5, generator=rng)
        guess = truth * (0.4 + 1.4 * torch.rand(count, 1, 4, 5, generator=rng).squeeze(1))
        truth[torch.rand(truth.shape, generator=rng) < 0.3] = 0
        made.append(Batch(guess[:, None], truth, torch.arange(count)))
    return made


def slow(pairs):
    """The seven numbers of some pixels, one at a time."""
    ratios = [max(g / t, t / g) for g, t in pairs]
    return {
        "rmse": sqrt(fmean((g - t) ** 2 for g, t in pairs)),
        "mae": fmean(abs(g - t) for g, t in pairs),
        "absrel": fmean(abs(g - t) / t for g, t in pairs),
        "lg10": fmean(abs(log10(g) - log10(t)) for g, t in pairs),
        **{f"delta{k}": 100 * fmean(r < 1.25**k for r in ratios) for k in (1, 2, 3)},
    }


def test_scores_are_means_over_images_and_beside_them_over_pixels():
    """As sparse-to-dense measures, image by image; unmeasured pixels count in none."""
    made = batches()
    images = [
        [
            (g, t)
            for g, t in zip(guess.flatten().tolist(), truth.flatten().tolist(), strict=True)
            if t
        ]
        for batch in made
        for guess, truth in zip(batch.images, batch.labels, strict=True)
    ]
    each, whole = [slow(pairs) for pairs in images], slow([*chain(*images)])

    scores = DepthErrors.of(Copy(), made, FLOAT32).scores()

    for name in NAMES:
        assert scores[name] == pytest.approx(fmean(one[name] for one in each), rel=1e-6), name
        assert scores[f"{name}_per_pixel"] == pytest.approx(whole[name], rel=1e-6), name
    assert scores["rmse"] < scores["rmse_per_pixel"]
    assert 0 < scores["delta1"] < scores["delta2"] < scores["delta3"] < 100


def test_the_size_of_a_batch_changes_no_score():
    """The source measures one image at a time; so does a batch of several."""
    (two, one) = batches()
    whole = Batch(*(torch.cat(parts) for parts in zip(two, one, strict=True)))
    singles = [Batch(*(part[k : k + 1] for part in whole)) for k in range(3)]

    apart, together = (DepthErrors.of(Copy(), made, FLOAT32) for made in (singles, [whole]))
    assert apart.scores() == together.scores()


@pytest.mark.parametrize("wild", [0.0, -3.0, 1e4])
def test_whatever_is_said_of_an_unmeasured_pixel_counts_nowhere(wild):
    """Neither in a score nor in the loss."""
    (batch, _) = batches()
    changed = torch.where(batch.labels[:, None] == 0, torch.tensor(wild), batch.images)
    assert not torch.equal(changed, batch.images)
    task = TASKS["depth"]

    assert torch.equal(task.loss(changed, batch.labels), task.loss(batch.images, batch.labels))
    scores = [
        DepthErrors.of(Copy(), [batch._replace(images=images)], FLOAT32).scores()
        for images in (batch.images, changed)
    ]
    assert scores[0] == scores[1]


def test_an_image_without_a_measurement_is_not_averaged():
    """It would be 0 / 0; a whole data set of such is refused."""
    (two, one) = batches()
    nothing = one._replace(labels=torch.zeros_like(one.labels))

    with_it = DepthErrors.of(Copy(), [two, nothing], FLOAT32).scores()
    assert with_it == DepthErrors.of(Copy(), [two], FLOAT32).scores()
    with pytest.raises(ValueError, match="no pixel is measured"):
        DepthErrors.of(Copy(), [nothing], FLOAT32).scores()


def test_depths_below_zero_have_finite_scores():
    """A network may give them early in its training; a logarithm has none."""
    (batch, _) = batches()
    scores = DepthErrors.of(Copy(), [batch._replace(images=-batch.images)], FLOAT32).scores()

    assert all(value == value and abs(value) < 1e6 for value in scores.values())
    assert scores["delta3"] == 0


def test_a_network_that_is_not_finite_is_no_network():
    """Its mode is as before."""
    (batch, _) = batches()
    network = Copy().eval()
    with pytest.raises(Diverged):
        DepthErrors.of(network, [batch._replace(images=batch.images / 0)], FLOAT32)
    assert not network.training


def test_the_loss_is_the_mean_error_of_the_measured_pixels():
    """Slow and obvious; a batch without any costs nothing, and has a gradient of 0."""
    (batch, _) = batches()
    pairs = zip(batch.images.flatten().tolist(), batch.labels.flatten().tolist(), strict=True)
    task = TASKS["depth"]

    expected = fmean(abs(g - t) for g, t in pairs if t)
    assert float(task.loss(batch.images, batch.labels)) == pytest.approx(expected, rel=1e-6)
    guess = batch.images.clone().requires_grad_()
    task.loss(guess, torch.zeros_like(batch.labels)).backward()
    assert torch.equal(guess.grad, torch.zeros_like(guess))


def test_a_smaller_rmse_is_the_better_one():
    """The epoch "best" is the one of the smallest; tables print centimetres."""
    task = TASKS["depth"]

    assert task.score is RMSE
    assert task.better(0.2, 0.3)
    assert not task.better(0.3, 0.2)
    assert RMSE.shown(0.2032) == pytest.approx(20.32)
