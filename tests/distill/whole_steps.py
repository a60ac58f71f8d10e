"""Whole training steps of every method on small networks, and what they change."""

import torch
from contract import CLASSES, CPU, METHODS, PAIR, build, network
from torch import rand, randn
from typed_runs import method_part

from kdbench.data.loaders.batch import Batch
from kdbench.distill.scheme import Scheme
from kdbench.engine.optimisers import make_optimiser
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.exhibits.protocols import CRD
from kdbench.runs.assemble import Teacher
from kdbench.runs.steps import FirstStep, TrainStep

FIRST_PARTS = ("ab", "ft")  # losses with a part before the main one
NAMES = [*METHODS, *(f"{name}, first part" for name in FIRST_PARTS)]
SIZE = 6


def make(name, device=CPU.device):
    """A step of a method, or of its first part, and the parts that it changes."""
    method, first = name.partition(", ")[::2]
    teacher, student = (network(one, seed=seed) for seed, one in enumerate(PAIR))
    loss = build(method, student, teacher)
    if getattr(loss, "scheme", None) is not None and hasattr(loss, "pathways"):
        shape, rng = (2, len(loss.names)), torch.Generator().manual_seed(0)
        rows = rand(shape, generator=rng)  # it changes every step
        loss.scheme = Scheme(rows, torch.ones(shape), loss.names)
    for module in (teacher, student, loss):
        module.train(module is not teacher).to(device)
    precision = Precision("float32", False, device)
    looking = Teacher(teacher, method_part(method).teacher_mode or "eval")
    if first:
        trunk = [student.trunk] if loss.first.trains_trunk else []
        optimiser = make_optimiser(CRD, *trunk, loss)
        step = FirstStep(student.train(), looking, loss, loss.first, optimiser, precision)
    else:
        optimiser = make_optimiser(CRD, student, loss.trained_with_student())
        step = TrainStep(student.train(), looking, loss, 1.0, optimiser, CRD, 10, precision)
    return step, {"student": student, "loss": loss, "optimiser": optimiser, **loss.optimisers}


def given(number, device=CPU.device):
    """The batch and the position of a step: the last epoch's."""
    rng = torch.Generator().manual_seed(number)
    images = randn(SIZE, 3, 16, 16, generator=rng).to(device)
    labels = torch.randint(CLASSES, (SIZE,), generator=rng).to(device)
    index = torch.randperm(24, generator=rng)[:SIZE].to(device)
    return Batch(images, labels, index), TrainingPosition(90 + number, 100, 9, 10)


def state(parts):
    """Every tensor that a checkpoint would hold, by name."""
    return {
        f"{part}.{key}": value
        for part, owner in parts.items()
        for key, value in _flat(owner.state_dict()).items()
    }


def _flat(tree):
    """The tensors of nested dictionaries and lists, by their way."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    flat = {}
    for key, value in pairs:
        if isinstance(value, torch.Tensor):
            flat[str(key)] = value
        elif isinstance(value, dict | list | tuple):
            flat |= {f"{key}.{name}": tensor for name, tensor in _flat(value).items()}
    return flat
