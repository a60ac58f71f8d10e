"""DistPro's questions on ImageNet, asked of a fifth of Tiny-ImageNet: for two cores and an evening.

Tiny-ImageNet stands in ImageNet's place: nothing here is comparable with a printed number.
"""

from kdbench.exhibits.protocols import IMAGENET_64, IMAGENET_64_SEARCH, IMAGENET_64_STEP
from kdbench.exhibits.tables import TOP1, Column, Origin, Row, Table
from kdbench.papers.distpro_imagenet import COSINE, DISTPRO, RESNET, STEP

WHOLE, HALF = "whole budget", "half of it"

TABLE = Table(
    id="distpro/tiny-imagenet",
    title="DistPro on a fifth of Tiny-ImageNet, ResNet34 -> ResNet18 (ours)",
    dataset="tinyimagenet_fifth",
    metric=TOP1,
    columns=(Column(RESNET, label=WHOLE), Column(RESNET, label=HALF, budget=0.5)),
    rows=(
        Row("teacher", None, role="teacher", only=(WHOLE,)),
        Row(STEP, "reviewkd_imagenet", recipe=IMAGENET_64_STEP, only=(WHOLE,)),
        Row(COSINE, "reviewkd_imagenet"),
        Row(DISTPRO, "distpro"),
        Row(
            "DistPro, searched on CIFAR-100",
            "distpro",
            origin=Origin(dataset="cifar100-64"),
            only=(WHOLE,),
        ),
    ),
    recipe=IMAGENET_64,
    search_recipe=IMAGENET_64_SEARCH,
    teacher_recipe=IMAGENET_64_STEP,
    seeds=1,
    comparisons=((DISTPRO, COSINE), ("DistPro, searched on CIFAR-100", DISTPRO)),
    notes=(
        "Tiny-ImageNet at 64 x 64 stands in ImageNet's place: 100 training images of each of 200 "
        "classes, and CIFAR-100 at the same size for the other search. The teacher is trained on "
        "them too; no published weights have a part in it.",
    ),
    on_request=True,
)

EXHIBITS = (TABLE,)
