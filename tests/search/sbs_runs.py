"""Small SBS searches on random images, for the tests of this folder."""

from functools import partial

import torch
from build_search import build
from torch import randn

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.densenet import DenseNet
from kdbench.models.families.resnet import ResNet
from kdbench.search.searcher import SearchBatch

IMAGE = (3, 8, 8)
FAMILIES = {"densenet": partial(DenseNet, 10, 4), "resnet": partial(ResNet, 8, (4, 4, 6, 8))}
STEPS = 20
# Gates close within some ten steps; no search is shorter than the published one.
FAST = {"of_steps": STEPS, "lambda_2": 5.0, "lr": 0.01, "weight_decay": 1e-4}
KL = {"temperature": 4.0, "order": "teacher-first", "times_square": True}


def batches(teacher, steps, first=0):
    """Training batches with the teacher's features, no validation batches, and positions."""
    for k in range(first, steps):
        torch.manual_seed(100 + k)
        batch = Batch(randn(6, *IMAGE), torch.randint(5, (6,)), torch.arange(6))
        with torch.no_grad():
            data = SearchBatch(batch, teacher.read(batch.images))
        yield data, None, TrainingPosition(k, STEPS, k // 5, STEPS // 5)


def start(family="densenet", seed=0, **options):
    """A teacher, and a search in it that has not begun."""
    torch.manual_seed(seed)
    teacher = FAMILIES[family](classes=5, image=IMAGE).eval()
    return teacher, build("sbs_kl", teacher, teacher, **{**FAST, **options})


def run(search, teacher, steps, first=0):
    """Take the steps from `first` on; returns the terms of all of them."""
    return [search.step(*data) for data in batches(teacher, steps, first)]
