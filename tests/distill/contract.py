"""What the contract tests share: every declared method, built as a run builds it.

A new declaration is picked up by itself. Maps are noise in the shapes of small networks, so that a
test of a loss is about the loss; its logits come from the images by a matrix, as losses that
differentiate in the images need it.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from sampling import sampled
from torch import randn
from typed_runs import method_part, network_part, search_part

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.exhibits.protocols import CRD
from kdbench.models.stages import Features
from kdbench.plan.components import find_components
from kdbench.runs import assemble

COMPONENTS = find_components()
# Those for classification; tests/distill/test_dense_methods.py has the others.
METHODS = [
    name
    for name in COMPONENTS.names("method")
    if "classification" in COMPONENTS.get("method", name, where="test").declaration.tasks
]


def of_a_class_each(methods):
    """The first method of each class; the others differ in numbers alone."""
    declared = {m: COMPONENTS.get("method", m, where="contract") for m in reversed(methods)}
    first = {(c.module, c.class_name): method for method, c in declared.items()}
    return set(first.values())


# All methods, for `parametrize`; `make test` takes one of each class.
EVERY = sampled(METHODS, of_a_class_each(METHODS))
CLASSES, LABELS = 10, 24
CPU = Precision("float32", False, torch.device("cpu"))
LATE = TrainingPosition(step=90, steps=100, epoch=9, epochs=10)  # warm-ups are over
PAIR = ("wrn-10-2", "resnet8")  # teacher and student; widths differ at every stage
KINDS = ("pre", "post", "out")
# To a smaller map, to one of its size and to a larger one: there are 27, all of these kinds.
PATHWAYS = ["t1-s2", "t2-s2", "t3-s1"]


def network(name, side=16, seed=0):
    """A network for small images."""
    data = SimpleNamespace(image=(3, side, side), classes=range(CLASSES))
    return assemble.make_network(network_part(name), data, seed, CPU)


def few_pathways(method):
    """Parameters that leave a method three pathways, if it has any."""
    return {"maps": PATHWAYS} if "maps" in method_part(method).parameters else {}


def finding(method, student, teacher, **changes):
    """What the search that a method needs would hand over; None where it needs none."""
    needed = COMPONENTS.get("method", method, where="contract").search
    if needed is None:
        return None
    given = search_part(needed, **changes), student, teacher, CRD, 0, CPU
    return assemble.make_searcher(*given).blank()


def build(method, student, teacher, seed=0, **changes):
    """A method's loss in train mode; the training set has `LABELS` images.

    `changes` replace parameters, those of the search that it needs too.
    """
    given = method_part(method, **changes)
    scheme = finding(method, student, teacher, **changes)
    extra = {} if scheme is None else {"scheme": scheme}
    if assemble.find_loss(given).takes_labels():
        extra["labels"] = torch.arange(LABELS) % CLASSES
    needs = COMPONENTS.get("method", method, where="contract").needs_teacher
    loss, _ = assemble.make_loss(given, student, teacher if needs else None, seed, CPU, **extra)
    return loss.train()


@dataclass
class Scene:
    """What a loss looks at, and the leaves that its gradients are asked for."""

    student: Features
    teacher: Features
    batch: Batch
    leaves: list[torch.Tensor]

    def terms(self, loss):
        """All terms of a loss, those of a first part included."""
        given = self.student, self.teacher, self.batch, LATE
        terms = dict(loss(*given))
        return terms if loss.first is None else {**terms, **loss.first_terms(*given)}

    def slopes(self, loss, terms):
        """Gradients of the sum of terms in the leaves and the loss's parameters; None if unused."""
        points = [*self.leaves, *loss.parameters()]
        if not terms:
            return [None] * len(points)
        total = torch.stack([term.double() for term in terms.values()]).sum()
        return torch.autograd.grad(total, points, allow_unused=True, retain_graph=True)


def scene(student, teacher, count=6, change=lambda of, x: x, seed=0):
    """Noise of two networks' shapes for `count` images.

    `change(of, x)` may replace every map, vector, matrix and the logits that follow from it; `of`
    is "student", "teacher" or, for the images, "images".
    """
    torch.manual_seed(seed)
    images = change("images", randn(count, 3, *student.image[1:])).requires_grad_()
    sides = {"student": student, "teacher": teacher}
    leaves = {of: [change(of, x) for x in _leaves(net, count)] for of, net in sides.items()}
    for leaf in leaves["student"]:
        leaf.requires_grad_()
    seen = [_features(leaves[of], len(net.stages), images) for of, net in sides.items()]
    for of, features in zip(sides, seen, strict=True):
        features.logits = change(of, features.logits)
    batch = Batch(images, torch.arange(count) % CLASSES, torch.arange(count))
    return Scene(*seen, batch, leaves["student"])


def _leaves(net, count):
    """Maps of three kinds a stage, a pooled vector, and the matrix from pixels to logits."""
    shapes = [(count, stage.channels, *stage.size) for stage in net.stages]
    pixels = net.image[0] * net.image[1] * net.image[2]
    maps = [randn(shape) for _ in KINDS for shape in shapes]
    return [*maps, randn(count, net.pooled_width), randn(pixels, CLASSES) / pixels**0.5]


def _features(leaves, stages, images):
    kinds = [leaves[k * stages : (k + 1) * stages] for k in range(len(KINDS))]
    logits = 3 * (images.flatten(1) @ leaves[-1].to(images.dtype)).tanh()
    return Features(logits, *kinds, [[x] for x in kinds[2]], leaves[-2])


def finite(tensors):
    """Whether all numbers of all tensors that are there are finite."""
    return all(bool(x.isfinite().all()) for x in tensors if x is not None)
