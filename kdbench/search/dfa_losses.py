"""What DFA's search descends: the two paths of the bridge loss, and the plain loss beside it."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.aggregation import check_strength, connectors, groups_of, target
from kdbench.distill.dfa import feature_distance
from kdbench.distill.full_precision import full_precision
from kdbench.errors import UnknownName
from kdbench.models.shapes import ghost_pass
from kdbench.models.stages import Features, StagedNetwork
from kdbench.models.statistics import frozen_statistics
from kdbench.search.divergence import cross_entropy

LOSSES = {"bridge": ("st", "ts"), "st": ("st",), "ts": ("ts",), "plain": ("fd",)}


@full_precision
def unit_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of two maps (B, C, H, W), each image's made a vector of length 1.

    Returns:
        Scalar in 0..4, the mean over the batch.

    Source: Guan et al., DFA, ECCV 2020, the path from student to teacher of the bridge loss. Our
    reading: per image, and squared.
    """
    ours, theirs = (F.normalize(maps.flatten(1)) for maps in (student, teacher))
    return (ours - theirs).square().sum(1).mean()


class Terms(NamedTuple):
    """Weighted scalar terms of one pass.

    Attributes:
        task: cross-entropy of the student itself.
        groups: terms by name, "st" or others, by position of the group.
    """

    task: Tensor
    groups: dict[int, dict[str, Tensor]]

    def total(self) -> Tensor:
        """Sum of all terms."""
        paths = (term for terms in self.groups.values() for term in terms.values())
        return torch.stack([self.task, *paths]).sum()

    def shown(self, group: int) -> dict[str, Tensor]:
        """The task's term, those of one group, and "others", the sum of all that are left.

        No tensor has a graph.
        """
        chosen = {"task": self.task.detach()}
        chosen |= {name: term.detach() for name, term in self.groups[group].items()}
        if len(self.groups) > 1:
            chosen["others"] = self.total().detach() - torch.stack(list(chosen.values())).sum()
        return chosen


class DFALosses(nn.Module):
    """The losses of some groups, as a function of all weights, these groups' β and a batch.

    A_i is the softmax of β over the teacher's maps of group i, S_i the student's last map. Beside
    the cross-entropy of the student itself:

    - "st", learnability: `unit_distance` of S_i, through a 1×1 convolution, from A_i;
    - "ts", expressivity: A_i goes through a 1×1 convolution into the student, in the place of S_i;
      the cross-entropy of the logits that the rest of the student makes of it. In a pre-activation
      network the first thing that runs on it is the norm that ends the stage: it belongs to what
      follows, and without it raw sums, which grow with depth, would meet weights that never saw
      their like;
    - "fd", the loss of the second part (`kdbench.distill.dfa`), for "plain" alone.

    Batch norms normalise with the batch in hand in every pass. Only `real` passes update running
    statistics, and of such a pass only the student's run on the images: its later stages run on
    the teacher's maps too, but those are not what they will see when the student is evaluated.

    Args:
        student: part of this module.
        teacher: gives its shapes.
        losses: "bridge" is "st" and "ts"; each of them alone; "plain".
        gammas: factors by "ce", "st", "ts" and "fd".
        stem: whether the stems are a group too.
        strength: of A_i, see `kdbench.distill.dfa`. The two paths of the bridge hardly see it.

    Raises:
        UnknownName: no such losses or strength.
        UserError: see `groups_of`; or the student cannot go on from a map, as "ts" needs.

    Source: Guan et al., DFA, ECCV 2020, section 3 (bridge loss).
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        losses: str,
        gammas: dict[str, float],
        stem: bool,
        strength: str,
    ) -> None:
        super().__init__()
        if losses not in LOSSES:
            raise UnknownName("choice", losses, LOSSES, where="dfa, losses")
        check_strength(strength)
        self.terms, self.gammas, self.strength = LOSSES[losses], gammas, strength
        self.groups = groups_of(student, teacher, stem=stem)
        self.student = student
        self.connectors = nn.ModuleDict()
        if losses != "ts":
            pairs = [(group.student, group.teacher) for group in self.groups]
            self.connectors["to_teacher"] = connectors(pairs)
        if "ts" in self.terms:
            pairs = [(group.teacher, group.student) for group in self.groups]
            self.connectors["to_student"] = connectors(pairs)
            self._try_later_stages()

    def forward(
        self,
        batch: Batch,
        teacher: Features,
        betas: Mapping[int, Tensor],
        *,
        real: bool = False,
    ) -> Terms:
        """The task's term, and those of the given groups.

        Args:
            batch: images and labels.
            teacher: the teacher's features of the batch, without a graph.
            betas: (L,) of every group that takes part, by its position in `groups`.
            real: whether the student remembers the batch's statistics.
        """
        with nullcontext() if real else frozen_statistics(self.student):
            student = self.student.read(batch.images)
        task = self.gammas["ce"] * cross_entropy(student.logits, batch.labels)
        with frozen_statistics(self.student):
            groups = {
                place: self._paths(place, beta, student, teacher, batch)
                for place, beta in betas.items()
            }
        return Terms(task, groups)

    def _paths(
        self, place: int, beta: Tensor, student: Features, teacher: Features, batch: Batch
    ) -> dict[str, Tensor]:
        """Weighted terms of one group by name."""
        group = self.groups[place]
        aggregated = target(group.maps(teacher), beta.softmax(0), self.strength)
        terms = {}
        for name in self.terms:
            if name == "ts":
                loss = self._expressivity(place, aggregated, batch)
            else:
                distance = unit_distance if name == "st" else feature_distance
                last = student.blocks[group.index][-1]
                loss = distance(self._connector("to_teacher", place)(last), aggregated)
            terms[name] = self.gammas[name] * loss
        return terms

    def _expressivity(self, place: int, aggregated: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of what the rest of the student makes of an aggregated map."""
        maps = self._connector("to_student", place)(aggregated)
        logits = self.student.from_stage(self.groups[place].index, maps, raw=True)
        return cross_entropy(logits, batch.labels)

    def _connector(self, way: str, place: int) -> nn.Module:
        connectors_of_way: nn.ModuleList = self.connectors[way]  # type: ignore[assignment]
        return connectors_of_way[place]

    def _try_later_stages(self) -> None:
        """Run the student from each group on, on shapes alone: a refusal comes before training."""
        for group in self.groups:
            shape = 2, group.student.channels, *group.student.size
            ghost_pass(self.student, shape, after=group.index, raw=True)
