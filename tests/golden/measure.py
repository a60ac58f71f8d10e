"""A few numbers of every component, on tiny fixed inputs: they move when its arithmetic moves.

Everything is computed in float64 from fixed seeds, so that machines agree far beyond the tolerance
of the comparison. A component is measured with the parameters that are stored with its numbers:
another default makes other runs by itself and needs no other revision.
"""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, rand, randn

from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.splits import held_out
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.scheme import Scheme
from kdbench.engine.optimisers import make_optimiser
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.seeds import derive
from kdbench.evaluate.classification import classify
from kdbench.evaluate.tasks import task_of
from kdbench.exhibits.protocols import REVIEW
from kdbench.models.families.densenet import DenseNet
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.pruning.build import build_pruned, layout_of, structure_of
from kdbench.models.pruning.structure import Structure
from kdbench.models.stages import Features
from kdbench.plan.components import PACKAGES, find_components
from kdbench.runs.assemble import drawn_by, find_class, make_loader
from kdbench.runs.steps import TrainStep
from kdbench.search.searcher import SearchBatch
from kdbench.store.spec import ENGINE_REVISION, PRUNING_REVISION, SPLIT_REVISION

CLASSES, IMAGES = 5, 6
TAKEN_ELSEWHERE = ("task_weight", "held_out", "teacher_bn")
FLOAT32 = Precision("float32", False, torch.device("cpu"))


def components():
    """Every method, network family and search by `kind/name`, the engine, and pruned students."""
    revisions = {"engine": ENGINE_REVISION, "carving": PRUNING_REVISION, "split": SPLIT_REVISION}
    entries = {
        key: SimpleNamespace(
            kind=key,
            revision=revision,
            raised=f"{key.upper()}_REVISION",
            file="kdbench/store/spec.py",
        )
        for key, revision in revisions.items()
    }
    declarations = find_components().declarations
    for kind in ("method", "network", "search"):
        for name, (path, declaration) in declarations[kind].items():
            example = declaration.examples[0] if kind == "network" else name
            component = find_components().get(kind, example, where="golden numbers")
            file = f"kdbench/{PACKAGES[kind]}/{path.name}"
            entries[f"{kind}/{name}"] = SimpleNamespace(
                kind=kind,
                revision=component.revision,
                raised="revision",
                component=component,
                file=file,
            )
    return entries


def defaults(entry):
    """The declared parameters of a component that its class takes."""
    if not hasattr(entry, "component"):
        return {}
    given = {**getattr(entry.component.declaration, "defaults", {}), **entry.component.arguments}
    return {key: value for key, value in given.items() if key not in TAKEN_ELSEWHERE}


def numbers(entry, parameters):
    """What to compare, by name; the global generator and default type are left as they were."""
    measure = {"method": method, "network": network, "search": search}
    with float64(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if not hasattr(entry, "component"):
            measured = {"engine": engine, "carving": carving, "split": split}[entry.kind]()
        else:
            component = entry.component
            cls = find_class(component)
            measured = measure[entry.kind](cls, parameters, component)
    values = {name: float(torch.as_tensor(value).detach()) for name, value in measured.items()}
    return {name: float(f"{value:.6g}") for name, value in values.items()}


@contextmanager
def float64():
    """Computes in float64 inside."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def method(cls, parameters, component):
    """Terms and gradients at three positions of a training, on maps of unequal sizes."""
    student = ResNet(8, classes=CLASSES, image=(3, 8, 8))
    teacher = WideResNet(depth(component), 2, classes=CLASSES, image=(3, 16, 16))
    dense = "classification" not in component.declaration.tasks
    extra = {"scheme": scheme(component, parameters)} if component.search else {}
    if cls.takes_labels():
        extra["labels"] = torch.arange(4 * IMAGES) % CLASSES
    loss, seed = drawn("loss", component, lambda: cls(student, teacher, **parameters, **extra))
    batch = images(16)
    ours, theirs = features(student, graph=True), features(teacher)
    if dense:
        for seen in (ours, theirs):
            seen.logits = randn(IMAGES, CLASSES, 16, 16).requires_grad_(seen is ours)
        batch = batch._replace(labels=torch.arange(IMAGES * 16 * 16).view(-1, 16, 16) % CLASSES)
    if loss.images_need_grad:
        batch = batch._replace(images=batch.images.requires_grad_())
        for seen in (ours, theirs):
            seen.logits = (batch.images.flatten(1) @ randn(3 * 16 * 16, CLASSES) / 16).tanh()
    measured = {"connectors": size(loss.parameters()), **seed}
    for epoch in (0, 7, 19):
        position = TrainingPosition(10 * epoch + 3, 200, epoch, 20)
        terms = {**loss(ours, theirs, batch, position)}
        if loss.first is not None:
            terms |= loss.first_terms(ours, theirs, batch, position)
        measured |= {f"{name} in epoch {epoch}": term for name, term in terms.items()}
        if any(term.requires_grad for term in terms.values()):
            points = [*loss.parameters(), *leaves(ours)]
            slopes = torch.autograd.grad(
                sum(terms.values()), points, allow_unused=True, retain_graph=True
            )
            measured[f"gradient in epoch {epoch}"] = size(s for s in slopes if s is not None)
    return measured


def drawn(purpose, component, build):
    """What a function builds and, if it draws numbers, a number that says by which seed runs do.

    That seed is of the class's module and name: where either changes, a revision is due.
    """
    before = torch.get_rng_state()
    built = build()
    if torch.equal(before, torch.get_rng_state()):
        return built, {}
    return built, {"its seed in a run": derive(0, purpose, *drawn_by(component)) % 10**6}


def network(cls, parameters, component):
    """Initialisation, logits, every stage's map, and the gradient, in both modes."""
    return seen(cls(**parameters, classes=CLASSES, image=(3, 16, 16)))


def carving():
    """The same of what is left of a dense network without some channels."""
    whole = DenseNet(22, 4, classes=CLASSES, image=(3, 16, 16))
    layout = layout_of(whole)
    open_gates = {name: (torch.rand(n) < 0.6).numpy() for name, n in layout.widths.items()}
    structure = structure_of(whole, layout.plan(open_gates), {})
    built = build_pruned(structure, CLASSES, (3, 16, 16))
    return seen(built.to(memory_format=torch.channels_last))


def split():
    """Which of some images, a few of them equal, are held out."""
    groups = np.arange(40)
    groups[[3, 17, 31]] = groups[5]
    _, held = held_out(groups, 0.3, seed=0)
    return {f"held out {place}": position for place, position in enumerate(held)}


def seen(built):
    """What a network gives of the images, and the gradient."""
    measured = {"initialisation": size(built.parameters())}
    batch, task = images(16), task_of(built)
    if task.name != "classification":
        batch = batch._replace(labels=torch.arange(IMAGES * 16 * 16).view(-1, 16, 16) % CLASSES)
    for mode in ("train", "eval"):
        read = built.train(mode == "train").read(batch.images)
        logits = read.logits.flatten(2).mean(2) if read.logits.ndim > 2 else read.logits
        measured |= {f"{mode}, logit {k}": value for k, value in enumerate(logits[0])}
        for key in ("pre", "post", "out"):
            maps = getattr(read, key)
            measured |= {f"{mode}, {key} {i}": size([m]) for i, m in enumerate(maps)}
        slopes = torch.autograd.grad(
            task.training_loss(read, batch.labels), list(built.parameters()), allow_unused=True
        )
        measured[f"{mode}, gradient"] = size(slope for slope in slopes if slope is not None)
    return measured


def search(cls, parameters, component, steps=3):
    """Losses of a few steps, and what was measured."""
    torch.manual_seed(1)
    teacher = WideResNet(depth(component), 1, classes=CLASSES, image=(3, 8, 8)).eval()
    student = ResNet(8, classes=CLASSES, image=(3, 8, 8))
    if component.start == "teacher":
        student = teacher
    base = {"base": Structure("", {}, {}, {"largest_kl": 0.5})} if component.base else {}
    searcher, measured = drawn(
        "search", component, lambda: cls(student, teacher, **sgd(component), **parameters, **base)
    )
    for step in range(steps):
        with torch.no_grad():
            train, validation = (
                SearchBatch(batch, teacher.read(batch.images)) for batch in (images(8), images(8))
            )
        losses = searcher.step(train, validation, TrainingPosition(step, steps, 0, 1))
        measured |= {f"{name} at step {step}": value for name, value in losses.items()}
    process = searcher.finding()
    if isinstance(process, Structure):
        return {**measured, **structure(process), "student": size(searcher.student.parameters())}
    for key in ("weights", "alphas"):
        row = getattr(process, key)[-1]
        measured |= {f"{key} {i}": value for i, value in enumerate(row[:: max(1, len(row) // 5)])}
        measured[f"size of {key}"] = size([row])
    return {**measured, "student": size(student.parameters())}


def sgd(component):
    """Constants of a search's SGD: of its paper's protocol."""
    decay = 1e-4 if component.start == "teacher" else 5e-4
    return {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": decay}


def structure(pruned):
    """How many channels every reader keeps, and what those cost."""
    channels = {f"kept of {name}": len(ids) for name, ids in pruned.kept.items()}
    left = {f"{key} left": value for key, value in pruned.metadata["after"].items()}
    pull = {"loss over penalty": pruned.metadata["loss_to_penalty"]}
    return {**channels, **left, **pull, **pruned.metadata["pace"]}


class Net(nn.Module):
    """A network of its own, so that the engine's numbers move with the engine alone."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.classifier = nn.Linear(8, CLASSES)

    def forward(self, x):
        """Logits."""
        return self.read(x).logits

    def read(self, x):
        """Logits, where a distillation loss looks for them."""
        return SimpleNamespace(logits=self.classifier(self.body(x.double()).mean((2, 3))))


class LogitsMSE(DistillationLoss):
    """A loss without parameters."""

    def forward(self, student, teacher, batch, position):
        """One term."""
        return {"mse": F.mse_loss(student.logits, teacher.logits)}


def engine():
    """Loader, augmentation, schedule, optimiser, both losses and evaluation: nine steps of them."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    data = SimpleNamespace(
        images=lambda split: pixels,
        labels=lambda split: np.arange(40) % CLASSES,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
    )
    recipe = replace(REVIEW.shortened(3), batch=16)
    loader = make_loader(data, "train", recipe, 0, FLOAT32)
    student, teacher = Net(), Net()
    step = TrainStep(
        student,
        SimpleNamespace(
            read=lambda x, graph: SimpleNamespace(logits=teacher.read(x).logits.detach())
        ),
        LogitsMSE(),
        0.5,
        make_optimiser(recipe, student),
        recipe,
        loader.steps,
        FLOAT32,
    )
    measured = {"steps": loader.steps}
    for epoch in range(3):
        for place, batch in enumerate(loader.epoch(epoch)):
            position = TrainingPosition(epoch * loader.steps + place, 3 * loader.steps, epoch, 3)
            measured |= {
                f"{k} at step {position.step}": v for k, v in step(batch, position).items()
            }
            order = torch.arange(1.0, len(batch.index) + 1)
            measured[f"order at step {position.step}"] = order @ batch.index.double()
            measured[f"pixels at step {position.step}"] = batch.images.double().square().mean()
    test = make_loader(data, "test", recipe, 0, FLOAT32, purpose="test")
    measured |= classify(student, test.in_order(16), FLOAT32)
    return {**measured, "student": size(student.parameters())}


def scheme(component, parameters):
    """A random process over the pathways of the search that a method needs."""
    needed = find_components().get("search", component.search, where="golden numbers")
    cls = find_class(needed)
    declared = defaults(SimpleNamespace(component=needed))
    shared = {key: value for key, value in parameters.items() if key in declared}
    with torch.random.fork_rng(devices=[]):
        teacher = WideResNet(depth(component), 1, image=(3, 8, 8))
        names = (
            cls(ResNet(8, image=(3, 8, 8)), teacher, **sgd(needed), **{**declared, **shared})
            .blank()
            .names
        )
    return Scheme(rand(4, len(names)), rand(4, len(names)) + 0.3, names)


def depth(component):
    """Of the teacher: where its blocks are averaged, a stage needs more than one."""
    return 16 if component.module.rpartition(".")[2] == "dfa" else 10


def images(side):
    """A batch of noise."""
    labels = torch.arange(IMAGES) % CLASSES
    return Batch(randn(IMAGES, 3, side, side), labels, torch.arange(IMAGES))


def features(built, graph=False):
    """Noise in the shapes of a network's features, so that its own arithmetic plays no part."""

    def drawn(*shape):
        return randn(IMAGES, *shape).requires_grad_(graph)

    shapes = [(stage.channels, *stage.size) for stage in built.stages]
    counts = [len(segment.blocks) for segment in built.trunk.values()]
    return Features(
        logits=drawn(CLASSES),
        pre=[drawn(*shape) for shape in shapes],
        post=[drawn(*shape) for shape in shapes],
        out=[drawn(*shape) for shape in shapes],
        blocks=[[drawn(*s) for _ in range(n)] for s, n in zip(shapes, counts, strict=True)],
        pooled=drawn(built.pooled_width),
    )


def leaves(seen):
    """All tensors of some features."""
    blocks = [block for stage in seen.blocks for block in stage]
    return [seen.logits, *seen.pre, *seen.post, *seen.out, *blocks, seen.pooled]


def size(tensors):
    """Root of the sum of squares, each tensor counted by its place: swapped ones differ."""
    return sum(k * t.detach().double().square().sum() for k, t in enumerate(tensors, 1)) ** 0.5
