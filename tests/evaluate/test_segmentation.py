"""mIoU of one matrix over all images, held against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score
from torch import nn

from kdbench.data.loaders.batch import Batch
from kdbench.engine.precision import Precision
from kdbench.errors import Diverged
from kdbench.evaluate.segmentation import Confusion, count
from kdbench.evaluate.tasks import TASKS

FLOAT32 = Precision("float32", False, torch.device("cpu"))


class Copy(nn.Module):
    """A network whose logits are its images."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(1, 1)

    def forward(self, images):
        """Logits."""
        return images


def batches(sizes=((6, 7), (3, 9)), classes=5, seed=0):
    """Two batches of images of other sizes, with ignored pixels."""
    rng = torch.Generator().manual_seed(seed)
    made = []
    for height, width in sizes:
        masks = torch.randint(0, classes, (2, height, width), generator=rng)
        masks[torch.rand(masks.shape, generator=rng) < 0.2] = 255
        logits = torch.randn(2, classes, height, width, generator=rng)
        made.append(Batch(logits, masks, torch.arange(2)))
    return made


def test_scores_are_scikit_learns():
    """Over all counted pixels of all images at once, not image by image."""
    made = batches()
    scores = Confusion.of(Copy(), made, FLOAT32).scores()

    truth = np.concatenate([batch.labels.numpy().ravel() for batch in made])
    guess = np.concatenate([batch.images.argmax(1).numpy().ravel() for batch in made])
    truth, guess = truth[truth != 255], guess[truth != 255]
    each = jaccard_score(truth, guess, average=None)
    assert scores["by_class"] == pytest.approx((100 * each).tolist())
    assert scores["miou"] == pytest.approx(100 * each.mean())
    assert scores["pixel_accuracy"] == pytest.approx(100 * accuracy_score(truth, guess))


def test_the_mean_over_images_is_another_number():
    """The two are easily taken for each other."""
    made = batches()
    whole = Confusion.of(Copy(), made, FLOAT32).scores()["miou"]
    each = [Confusion.of(Copy(), [batch], FLOAT32).scores()["miou"] for batch in made]

    assert abs(whole - sum(each) / len(each)) > 0.1


def test_ignored_pixels_are_outside_the_matrix():
    """Whatever the network says there."""
    masks = torch.tensor([[0, 1, 255, 255]])
    for guesses in ([[0, 1, 0, 0]], [[0, 1, 1, 1]]):
        matrix = count(torch.tensor(guesses), masks, 2)
        assert matrix.tolist() == [[1, 0], [0, 1]]


def test_a_class_that_never_occurs_is_not_averaged():
    """One that is only guessed is, with 0."""
    counts = torch.tensor([[4, 0, 0], [0, 0, 0], [0, 2, 2]])
    scores = Confusion(counts[:3, :3]).scores()
    assert scores["by_class"] == [100.0, 0.0, 50.0]
    absent = torch.tensor([[4, 0, 0], [0, 0, 0], [0, 0, 4]])
    assert Confusion(absent).scores()["by_class"] == [100.0, None, 100.0]
    assert Confusion(absent).scores()["miou"] == 100.0


def test_a_network_that_is_not_finite_is_no_network():
    """Its mode is as before."""
    (batch,) = batches(sizes=((3, 3),))
    network = Copy().eval()
    with pytest.raises(Diverged):
        Confusion.of(network, [batch._replace(images=batch.images / 0)], FLOAT32)
    assert not network.training


def test_the_loss_is_the_mean_over_pixels_that_count():
    """Slow and obvious: pixel by pixel."""
    (batch, _) = batches()
    expected = [
        -batch.images[b, :, y, x].log_softmax(0)[batch.labels[b, y, x]]
        for b in range(2)
        for y in range(6)
        for x in range(7)
        if batch.labels[b, y, x] != 255
    ]
    loss = TASKS["segmentation"].loss(batch.images, batch.labels)

    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_a_crop_without_a_class_costs_nothing():
    """It would be 0 / 0."""
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = TASKS["segmentation"].loss(logits, torch.full((2, 4, 4), 255))
    loss.backward()

    assert float(loss.detach()) == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
