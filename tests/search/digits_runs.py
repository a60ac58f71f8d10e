"""DFA's search on scikit-learn's digits, from a teacher that knows them."""

from functools import cache

import build_search
import numpy as np
import torch
import torch.nn.functional as F

from kdbench.data.loaders.batch import Batch
from kdbench.data.sets.digits import load
from kdbench.engine.position import TrainingPosition
from kdbench.engine.schedules import rate_at
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.search.searcher import SearchBatch

SHAPE = {"classes": 10, "image": (3, 8, 8)}
SIZE = 64  # images a batch


@cache
def digits():
    """Images (N, 3, 8, 8) of mean 0 and deviation 1, and labels (N,), in an order of chance."""
    images, labels = load()
    order = np.random.default_rng(0).permutation(len(labels))
    pixels = torch.tensor(images[order]).permute(0, 3, 1, 2).float()
    return (pixels - pixels.mean()) / pixels.std(), torch.tensor(labels[order])


def batch(part, step):
    """The images of a step from one of three parts: 0 to train on, 1 held out, 2 to test."""
    images, labels = digits()
    first, end = ((0, 700), (700, 1400), (1400, 1797))[part]
    chosen = first + (torch.arange(SIZE) + SIZE * step) % (end - first)
    return Batch(images[chosen], labels[chosen], chosen)


@cache
def teacher(steps=120):
    """A network that was trained on the images of part 0, and the share of part 2 that it knows."""
    torch.manual_seed(0)
    network = WideResNet(16, 2, **SHAPE)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for step in range(steps):
        data = batch(0, step)
        optimiser.param_groups[0]["lr"] = 0.05 if step < 2 * steps // 3 else 0.005
        optimiser.zero_grad()
        F.cross_entropy(network(data.images), data.labels).backward()
        optimiser.step()
    images, labels = (values[1400:] for values in digits())
    with torch.no_grad():
        right = (network.eval()(images).argmax(1) == labels).float().mean()
    return network, right.item()


@cache
def searched(recipe, *, steps=60, draw=0, **options):
    """A search of so many steps on the digits, at the rates of a protocol's course.

    Returns:
        The losses of every step by name, and what was found.
    """
    network = teacher()[0]
    torch.manual_seed(0)
    student = WideResNet(10, 1, **SHAPE)
    search = build_search.build("dfa", student, network, draw=draw, **options)
    losses = []
    for step in range(steps):
        with torch.no_grad():
            train, held = (
                SearchBatch(data, network.read(data.images))
                for data in (batch(part, step) for part in (0, 1))
            )
        search.lr = rate_at(recipe, step, steps // recipe.epochs)
        position = TrainingPosition(step, steps, 0, 1)
        losses.append({k: float(v) for k, v in search.step(train, held, position).items()})
    return {name: [one[name] for one in losses] for name in losses[0]}, search.finding()
