"""DFA's second stage: the student learns one aggregated teacher map a group."""

from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.aggregation import Group, check_strength, connectors, groups_of, target
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.scheme import Scheme
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue, UnknownName
from kdbench.models.stages import Features, StagedNetwork

WEIGHTS = ("searched", "random", "average", "last")
CONNECTED = ("student", "both")


@full_precision
def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two maps of one shape (B, C, H, W), a scalar.

    Source: Guan et al., DFA, ECCV 2020, section 3, the distance L2 of the feature loss. Our
    reading: squared, averaged over images, channels and places, so that one factor serves groups
    and networks of every size; a sum over channels and places would only put a constant on each
    group.
    """
    return F.mse_loss(student, teacher)


class DFA(DistillationLoss):
    """γ_fd Σ_i L2(F_t(A_i), F_s(S_i)): A_i averages the teacher's blocks of stage i.

    Maps are those of `Features.blocks`; S_i is the student's last one. The paper writes connectors
    F on both sides. Trained together without a constraint, both can shrink to 0 and take the loss
    with them, whatever the student does; and in the search only the student's side has one in the
    path from student to teacher. So F_t is the identity unless asked for.

    Args:
        student: gives the shapes of its maps.
        teacher: the same.
        scheme: what a search found, of which the last row counts; looked at by "searched" alone.
        weights: "searched"; "average", 1 / L for each of a group's L maps; "last", the last map
            alone, which is plain feature distillation; "random", the softmax of a standard normal
            draw at construction, which then stays.
        gamma_fd: factor of the sum over the groups.
        connected: "student": a 1×1 convolution brings S_i to the teacher's channels; "both": a
            second one, of the teacher's width, is trained on A_i.
        stem: whether the stems are a group too.
        strength: "raw": A_i as the teacher's maps are; "matched": divided by its root mean square,
            so that rows of other shares differ in the maps alone, not in the loss's strength.

    Raises:
        UnknownName: an option has no such value.
        BadValue: the scheme is missing or of other groups; or see `groups_of`.

    Source: Guan et al., Differentiable Feature Aggregation Search for Knowledge Distillation,
    ECCV 2020, section 3.
    """

    shares: Tensor

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        scheme: Scheme | None = None,
        weights: str,
        gamma_fd: float,
        connected: str,
        stem: bool,
        strength: str,
    ) -> None:
        super().__init__()
        check_strength(strength)
        if connected not in CONNECTED:
            raise UnknownName("choice", connected, CONNECTED, where="dfa, connected")
        self.groups = groups_of(student, teacher, stem=stem)
        self.names = tuple(name for group in self.groups for name in group.names)
        self.gamma_fd, self.strength = gamma_fd, strength
        self.ours = connectors([(group.student, group.teacher) for group in self.groups])
        both = self.groups if connected == "both" else ()
        self.theirs = connectors([(group.teacher, group.teacher) for group in both])
        shares = torch.cat([start(weights, group) for group in self.groups])
        if weights == "searched":
            if scheme is None:
                raise BadValue("dfa, scheme", None, "what a search found", "run the search")
            scheme.expect(self.names)
            shares = scheme.at(1.0)[0].to(shares)
        self.register_buffer("shares", shares)
        edges = accumulate((group.blocks for group in self.groups), initial=0)
        self._places = [slice(*edge) for edge in pairwise(edges)]

    def aggregated(self, teacher: Features) -> list[Tensor]:
        """A_i by group, (B, C, H, W) each, of the chosen strength, before any connector."""
        places = zip(self.groups, self._places, strict=True)
        return [
            target(group.maps(teacher), self.shares[place], self.strength)
            for group, place in places
        ]

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"dfa": scalar}."""
        targets = self.aggregated(teacher)
        if self.theirs:
            targets = [join(maps) for join, maps in zip(self.theirs, targets, strict=True)]
        distances = [
            feature_distance(join(student.blocks[group.index][-1]), aggregated)
            for group, join, aggregated in zip(self.groups, self.ours, targets, strict=True)
        ]
        return {"dfa": self.gamma_fd * torch.stack(distances).sum()}


def start(weights: str, group: Group) -> Tensor:
    """Shares (L,) of one group by a rule that needs no search; a search's own is 1 / L, unused.

    Raises:
        UnknownName: there is no such rule.
    """
    if weights not in WEIGHTS:
        raise UnknownName("choice", weights, WEIGHTS, where="dfa, weights")
    if weights == "last":
        return F.one_hot(torch.tensor(group.blocks - 1), group.blocks).to(torch.get_default_dtype())
    if weights == "random":
        return torch.randn(group.blocks).softmax(0)
    return torch.full((group.blocks,), 1 / group.blocks)
