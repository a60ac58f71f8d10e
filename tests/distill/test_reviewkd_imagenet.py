"""ReviewKD as its ImageNet code has it, against the CIFAR form, which has slow references."""

import torch
from build_loss import build_loss
from torch import randn

from kdbench.distill.reviewkd import ReviewKD
from kdbench.distill.reviewkd_imagenet import ReviewKDImageNet
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.vit import VisionTransformer
from kdbench.plan.components import find_components

SMALL = {"classes": 5, "image": (3, 8, 8)}
FIRST = TrainingPosition(step=0, steps=10, epoch=0, epochs=10)


def networks():
    """A student and a teacher, and what they say about the same images."""
    torch.manual_seed(0)
    student, teacher, images = ResNet(8, **SMALL), ResNet(14, **SMALL), randn(3, 3, 8, 8)
    return student, teacher, student.read(images), teacher.read(images)


def test_it_is_the_cifar_form_on_the_students_maps_before_the_relu(float64):
    """With one set of weights, and nothing else of the features changed."""
    student, teacher, ours, theirs = networks()
    loss = build_loss(ReviewKDImageNet, student, teacher, weight=8.0)
    other = build_loss(ReviewKD, student, teacher)
    other.load_state_dict(loss.state_dict())
    term = loss(ours, theirs, None, FIRST)["reviewkd"]

    ours.out = ours.pre
    torch.testing.assert_close(term, 8.0 * other.losses(ours, theirs).sum())


def test_it_counts_from_the_first_step_on():
    """There is no warm-up."""
    student, teacher, ours, theirs = networks()
    loss = build_loss(ReviewKDImageNet, student, teacher)
    assert loss(ours, theirs, None, FIRST)["reviewkd"] > 0


def test_the_width_bounds_the_fused_maps():
    """MobileNet's pair has 256 channels and weight 8, ResNet18's 512 and 1."""
    student, teacher, *_ = networks()
    loss = build_loss(ReviewKDImageNet, student, teacher, width=10)
    assert {fusion.enter[0].out_channels for fusion in loss.fusions} == {10}

    method = find_components().get("method", "reviewkd_imagenet", where="test")
    sizes = {}
    for pair in ("resnet50:mobilenet-v1", "resnet34:resnet18", "vit-b-16:deit-tiny"):
        declared = method.parameters(scale="paper", pair=pair, overrides={}, where="test")
        sizes[pair] = declared["weight"], declared["width"]
    assert [*sizes.values()] == [(8.0, 256), (1.0, 512), (1.0, 512)]
    assert method.teacher_bn == "eval"


def test_it_reads_transformers():
    """Their maps are grids of tokens, and pooled is the class token."""
    shape = {"patch": 2, **SMALL}
    student, teacher = VisionTransformer("mini", **shape), VisionTransformer("mini", **shape)
    images = randn(2, 3, 8, 8)
    loss = build_loss(ReviewKDImageNet, student, teacher)
    losses = loss.losses(student.read(images), teacher.read(images))
    assert losses.shape == (5,) and losses.isfinite().all()
