"""Evaluation by several ranks: every image once, and the numbers of one process to the bit."""

import pytest
import torch
from on_ranks import on_ranks
from torch import nn

from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.order import Part
from kdbench.engine import ranks
from kdbench.engine.precision import Precision
from kdbench.errors import Diverged
from kdbench.evaluate.classification import predict
from kdbench.evaluate.segmentation import Confusion

CPU = Precision("float32", False, torch.device("cpu"))
IMAGES, AT_ONCE = 11, 5  # batches of 5, 5 and 1: of four ranks, one measures nothing


def batches(*shape):
    """This rank's batches of eleven images, with labels of the same shape but for channels."""
    torch.manual_seed(0)
    images = torch.randn(IMAGES, 3, *shape)
    labels = torch.randint(4, (IMAGES, *shape))
    part = Part(ranks.at_work().rank, ranks.size())
    for start in part.in_order(IMAGES, AT_ONCE):
        own = slice(start, start + AT_ONCE)
        yield Batch(images[own], labels[own], torch.arange(IMAGES)[own])


def measured():
    """Logits and labels of a classifier, and the matrix of a network for every pixel."""
    torch.manual_seed(1)
    pixels = nn.Conv2d(3, 4, 1)
    whole = nn.Sequential(nn.Flatten(), nn.Linear(3, 4))
    confusion = Confusion.of(pixels, batches(2, 2), CPU)
    return *predict(whole, batches(), CPU), confusion.counts


@pytest.mark.parametrize("size", [2, 4])
def test_ranks_measure_every_image_once(size):
    """All of them end with the logits, labels and matrix of one process."""
    ((logits, labels, counts),) = on_ranks(1, measured)

    assert len(labels) == IMAGES and int(counts.sum()) == 4 * IMAGES
    for found in on_ranks(size, measured):
        assert all(map(torch.equal, found, (logits, labels, counts)))


def refused():
    """What is said of logits that are not finite in the images of the first rank alone."""
    network = nn.Conv2d(3, 4, 1)
    spoiled = [
        one._replace(images=one.images / (ranks.at_work().rank > 0)) for one in batches(2, 2)
    ]
    try:
        Confusion.of(network, spoiled, CPU)
    except Diverged as error:
        return str(error)
    return ""


def test_all_ranks_refuse_what_one_of_them_found():
    """None of them waits for the one that ended."""
    assert all("not finite" in said for said in on_ranks(2, refused))


def disagreeing():
    """What is said of weights that differ between ranks, and of statistics of norms that do."""
    norm = nn.BatchNorm2d(2)
    norm.running_mean += ranks.at_work().rank
    ranks.require_alike({"student": norm.state_dict()}, "training")
    with torch.no_grad():
        norm.weight += ranks.at_work().rank
    with pytest.raises(Exception, match=r"student\.weight differs between the 2 ranks") as refusal:
        ranks.require_alike({"student": norm.state_dict()}, "training")
    ranks.take_buffers(norm)
    return str(refusal.value), norm.running_mean.tolist()


def test_a_state_that_is_not_averaged_is_refused():
    """Named, on all ranks. What norms remember is the first rank's, where all must know it."""
    for said, remembered in on_ranks(2, disagreeing):
        assert "run it on one rank" in said
        assert remembered == [0, 0]
