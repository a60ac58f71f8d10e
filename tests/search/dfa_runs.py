"""Small DFA searches that several test files take steps of."""

import copy
from functools import partial

import build_search
import torch
import torch.nn.functional as F
from torch import randn
from torch.func import functional_call

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.shufflenet_v2 import ShuffleNetV2
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.segments import LinearStage
from kdbench.search.searcher import SearchBatch

PAIRS = {
    "wrn to wrn": (partial(WideResNet, 16, 2), partial(WideResNet, 10, 1)),
    "resnet to resnet": (partial(ResNet, 20), partial(ResNet, 8)),
    "shufflenet to shufflenet": (
        partial(ShuffleNetV2, channels=(8, 16, 32), units=(2, 1, 1)),
        partial(ShuffleNetV2, channels=(4, 8, 16), units=(1, 1, 1)),
    ),
    "wrn to shufflenet": (
        partial(WideResNet, 16, 2),
        partial(ShuffleNetV2, channels=(4, 8, 16), units=(1, 1, 1)),
    ),
}
RATE = 0.05  # of β's Adam in 6 steps, two of each group
FAST = {"beta_budget": 2 * RATE, "lr": 0.02, "spread": 0.5}
METHODS = [
    {"losses": "bridge"},
    {"fitted": "turn"},
    {"losses": "st"},
    {"losses": "ts"},
    {"losses": "plain"},
    {"order": "second"},
    {"order": "second", "gradient": "exact"},
]
IDS = ["-".join(map(str, options.values())) for options in METHODS]


def start(pair="wrn to wrn", seed=0, **options):
    """A teacher and a search that has not begun."""
    torch.manual_seed(seed)
    teacher, student = (make(classes=5, image=(3, 8, 8)) for make in PAIRS[pair])
    return teacher.eval(), build_search.build("dfa", student, teacher, **{**FAST, **options})


def read(teacher, batch):
    """A batch with the teacher's features."""
    with torch.no_grad():
        return SearchBatch(batch, teacher.read(batch.images))


def batches(step, size=6):
    """The training and the validation batch of a step."""
    torch.manual_seed(100 + step)
    return tuple(
        Batch(randn(size, 3, 8, 8), torch.randint(5, (size,)), torch.arange(size)) for _ in range(2)
    )


def data(teacher, step, size=6):
    """The same with the teacher's features."""
    return tuple(read(teacher, batch) for batch in batches(step, size))


def take(search, teacher, step, steps=6):
    """One step of so many; returns its losses."""
    return search.step(*data(teacher, step), TrainingPosition(step, steps, 0, 1))


def run(search, teacher, last, first=0, steps=6):
    """Take the steps from `first` to before `last`; returns the last losses."""
    losses = {}
    for step in range(first, last):
        losses = take(search, teacher, step, steps)
    return losses


def fitted_betas(search, group, beta):
    """What the training loss of a step sees of β: that of the turn, and the others as they are."""
    others = enumerate(search.betas) if search.fitted == "all" else ()
    return {**{k: other.detach() for k, other in others}, group: beta}


def written_out(search, data, betas):
    """The terms of some groups, on the student itself: reads it once, and moves its statistics.

    What follows a group runs on a map from outside afterwards, in a copy with norms of its own.

    Returns:
        The cross-entropy, and the terms by name of each group.
    """
    student, (batch, theirs) = search.student, data
    ours = student.read(batch.images)
    groups = {k: paths_written_out(search, k, b, ours, theirs, batch) for k, b in betas.items()}
    return F.cross_entropy(ours.logits, batch.labels), groups


def paths_written_out(search, group, beta, ours, theirs, batch):
    """The terms of one group."""
    losses, terms = search.losses, {}
    at = losses.groups[group]
    shares = beta.softmax(0)
    target = sum(s * m for s, m in zip(shares, theirs.blocks[at.index], strict=True))
    if losses.strength == "matched":
        target = target / target.square().mean().sqrt()
    if "to_teacher" in losses.connectors:
        maps = losses.connectors["to_teacher"][group](ours.blocks[at.index][-1])
        pairs = zip(maps.flatten(1), target.flatten(1), strict=True)
        gaps = [(s / s.norm() - t / t.norm()).square().sum() for s, t in pairs]
        terms["st"] = torch.stack(gaps).mean()
        terms["fd"] = search.losses.gammas["fd"] * (maps - target).square().mean()
    if "to_student" in losses.connectors:
        maps = losses.connectors["to_student"][group](target)
        terms["ts"] = F.cross_entropy(the_rest(search.student, at.index, maps), batch.labels)
    return {name: terms[name] for name in losses.terms}


def the_rest(student, index, maps):
    """Logits of what follows a stage, written out; no norm of the student itself moves."""
    segments = copy.deepcopy(student).segments[index:]  # its norms may move: nobody reads them
    own = dict(student.named_parameters())
    names = [f"trunk.{name}" for name in student.trunk][index:]
    norm = getattr(segments[0], "norm", None)
    if norm is not None:
        maps = functional_call(norm, below(own, f"{names[0]}.norm"), (maps,))
    if not isinstance(segments[0], LinearStage):
        maps = maps.relu()
    for name, segment in zip(names[1:], segments[1:], strict=True):
        maps = functional_call(segment, below(own, name), (maps,)).carried
    classifier = student.classifier
    neck = functional_call(copy.deepcopy(student.neck), below(own, "neck"), (maps,))
    return F.linear(neck.mean((2, 3)), classifier.weight, classifier.bias)


def below(tensors, prefix):
    """Those of one module, by the names that they have in it."""
    return {k.removeprefix(f"{prefix}."): t for k, t in tensors.items() if k.startswith(prefix)}


def everything(search):
    """Every tensor of a search that training could change, by name."""
    return build_search.everything(
        {"losses": search.losses},
        {f"beta {k}": beta for k, beta in enumerate(search.betas)},
        {"optimiser": search.optimiser, "beta_optimiser": search.beta_optimiser},
    )
