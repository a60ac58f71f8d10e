"""Gradients of methods for segmentation and depth on two ranks against those of one process."""

import pytest
import torch
from on_ranks import on_ranks

from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.order import Part
from kdbench.engine import ranks
from kdbench.engine.position import TrainingPosition
from kdbench.engine.synchronised_norms import SynchronisedNorms
from kdbench.evaluate.tasks import task_of
from kdbench.models.families.pspnet import PSPNet
from kdbench.models.families.sparse_to_dense import SparseToDense
from kdbench.plan.components import find_components
from kdbench.runs.assemble import find_class

IMAGES = 4
METHODS = {
    "segmentation": ["none", "kd_pixel", "ifvd", "reviewkd", "ofd", "at"],
    "depth": ["none", "kd_depth", "reviewkd", "ofd"],
}


def given(task):
    """A student, a teacher and this rank's part of a batch; unequally many pixels count."""
    torch.manual_seed(0)
    if task == "segmentation":
        shape = (3, 16, 24)
        student = PSPNet("mobilenet-v2", classes=5, image=shape)
        teacher = PSPNet("resnet18", classes=5, image=shape)
        labels = torch.randint(5, (IMAGES, *shape[1:]))
        labels[0] = 255
    else:
        shape = (4, 40, 48)
        student, teacher = (SparseToDense(18, classes=1, image=shape) for _ in range(2))
        labels = torch.rand(IMAGES, *shape[1:])
        labels[0] = 0
    whole = torch.randn(IMAGES, *shape), labels, torch.arange(IMAGES)
    own = Part(ranks.at_work().rank, ranks.size()).of(IMAGES)
    return student.train(), teacher.eval(), Batch(*(tensor[own] for tensor in whole))


def gradients(task):
    """The mean over ranks of the task's gradients and of each method's, by method."""
    slopes = {}
    for name in METHODS[task]:
        student, teacher, batch = given(task)
        component = find_components().get("method", name, where="test")
        settings = component.parameters(scale="paper", pair=None, overrides={}, where="test")
        settings.pop("task_weight", None)
        loss = find_class(component)(student, teacher, **settings)
        with SynchronisedNorms():
            ours = student.read(batch.images)
            with torch.no_grad():
                theirs = teacher.read(batch.images)
            terms = dict(loss(ours, theirs, batch, TrainingPosition(50, 100, 50, 100)))
            total = task_of(student).training_loss(ours, batch.labels) + sum(terms.values())
            weights = list(student.parameters())
            own = torch.autograd.grad(total, weights, allow_unused=True)
        slopes[name] = [slope for slope in ranks.average(own) if slope is not None]
    return slopes


@pytest.mark.slow
@pytest.mark.parametrize("task", METHODS)
def test_two_ranks_have_the_gradients_of_one_process(float64, task):
    """To rounding, though one rank has an image of which no pixel counts."""
    (expected,) = on_ranks(1, gradients, task)
    for found in on_ranks(2, gradients, task):
        for name, slopes in expected.items():
            largest = max(float(slope.abs().max()) for slope in slopes)
            for ours, theirs in zip(found[name], slopes, strict=True):
                assert float((ours - theirs).abs().max()) < 1e-5 * largest, name
