"""A small project, a checkpoint of another code base, and ways to import it."""

import shutil
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from forked import Done
from tiny_project import TinyProject
from torch.nn.functional import cross_entropy
from typed_runs import network_part

from kdbench.data.stored import arrays as dataset
from kdbench.data.stored.arrays import Prepared
from kdbench.evaluate.classification import accuracy, predict
from kdbench.exhibits.protocols import REVIEW
from kdbench.plan.components import find_components
from kdbench.runs.assemble import make_loader, make_network
from kdbench.runs.importing import (
    ExpectedAccuracy,
    Reading,
    Source,
    check_precision,
    import_teacher,
)

NETWORK, KEY = "resnet56", "cifar100/resnet56"
SHORT = {"student_epochs": 1, "steps_per_epoch": 2, "batch": 8, "train_share": 1.0}


def small_project(tmp_path):
    """A project at scale lite whose CIFAR-100 is 60 small images of three colours."""
    rng = np.random.RandomState(0)
    labels = np.arange(60) % 3
    images = rng.randint(0, 60, (60, 8, 8, 3)).astype(np.uint8)
    images[np.arange(60), :, :, labels] += 150
    splits = {"train": (images[:36], labels[:36]), "test": (images[36:], labels[36:])}
    dataset.write(tmp_path / "data/cifar100", "cifar100", splits, ["blue", "green", "red"])
    return TinyProject(tmp_path, scale="lite", seeds=1, scales={"lite": SHORT})


def trained_checkpoint(project):
    """(file, top-1): a network that has learnt a little, saved by its own code."""
    data = Prepared.open(project.root / "data/cifar100")
    network = make_network(network_part(NETWORK), data, 5, check_precision())
    recipe = replace(REVIEW, batch=12)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    for batch in chain.from_iterable(
        make_loader(data, "train", recipe, 0, check_precision()).epoch(i) for i in range(4)
    ):
        optimiser.zero_grad()
        cross_entropy(network(batch.images), batch.labels).backward()
        optimiser.step()
    loader = make_loader(data, "test", REVIEW, 0, check_precision(), purpose="test")
    top1 = accuracy(*predict(network, loader.in_order(500), check_precision()))
    assert 40 < top1 <= 100
    torch.save({"model": network.state_dict()}, project.root / "teacher.pth")
    return project.root / "teacher.pth", top1


def copied_checkpoint(trained, project):
    """The same checkpoint in another project of the same images."""
    file, top1 = trained
    return Path(shutil.copy(file, project.root)), top1


def take(project, file, top1, *, tolerance=0.1, network=NETWORK, **reading):
    """Import a checkpoint whose accuracy is known."""
    components = find_components()
    return import_teacher(
        Source.find(file),
        components.get("network", network, where="test"),
        Prepared.open(project.root / "data/cifar100"),
        project.paths,
        ExpectedAccuracy(top1, tolerance),
        components=components,
        precision=check_precision(),
        reading=Reading(**reading),
    )


def command(project, *words):
    """`kdbench teacher import` in a process of its own."""
    return Done(project.root, "teacher", "import", *words, KDBENCH_DEVICE="cpu")
