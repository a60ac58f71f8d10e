"""What DFA's search descends: the two paths of the bridge loss, and the plain loss beside it."""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from kdbench.data.loaders.batch import Batch
from kdbench.distill.aggregation import aggregate, connectors, ghosts, groups_of
from kdbench.distill.dfa import feature_distance
from kdbench.distill.full_precision import full_precision
from kdbench.errors import UnknownName
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


class DFALosses(nn.Module):
    """The losses of one group, as a function of all weights, the group's β and a batch.

    A_i is the softmax of β over the teacher's maps of group i, S_i the student's last map. Beside
    the cross-entropy of the student itself:

    - "st", learnability: `unit_distance` of S_i, through a 1×1 convolution, from A_i;
    - "ts", expressivity: A_i goes through a 1×1 convolution into the student, in the place of
      `Features.pre` of its stage i; the cross-entropy of the logits that the later stages make of
      it. In a pre-activation network that is behind the norm that ends the stage: `pre` is where a
      network can go on without running a norm of the stage's own maps again;
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

    Raises:
        UnknownName: no such losses.
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
    ) -> None:
        super().__init__()
        if losses not in LOSSES:
            raise UnknownName("choice", losses, LOSSES, where="dfa, losses")
        self.terms, self.gammas = LOSSES[losses], gammas
        self.groups = groups_of(student, teacher, stem=stem)
        self.student = student
        self.connectors = nn.ModuleDict()
        if losses != "ts":
            pairs = [(group.student, group.teacher) for group in self.groups]
            self.connectors["to_teacher"] = connectors(pairs)
        if "ts" in self.terms:
            pairs = [(group.teacher, student.stages[group.index]) for group in self.groups]
            self.connectors["to_student"] = connectors(pairs)
            self._try_later_stages()

    def forward(
        self,
        batch: Batch,
        teacher: Features,
        group: int,
        beta: Tensor,
        *,
        real: bool = False,
    ) -> dict[str, Tensor]:
        """Weighted terms by name: "task" and those of `losses`.

        Args:
            batch: images and labels.
            teacher: the teacher's features of the batch, without a graph.
            group: position in `groups`.
            beta: (L,) of that group.
            real: whether the student remembers the batch's statistics.
        """
        stages = self.groups[group]
        with nullcontext() if real else frozen_statistics(self.student):
            student = self.student.read(batch.images)
        target = aggregate(stages.maps(teacher), beta.softmax(0))
        terms = {"task": self.gammas["ce"] * cross_entropy(student.logits, batch.labels)}
        for name in self.terms:
            if name == "ts":
                loss = self._expressivity(group, target, batch)
            else:
                distance = unit_distance if name == "st" else feature_distance
                last = student.blocks[stages.index][-1]
                loss = distance(self._connector("to_teacher", group)(last), target)
            terms[name] = self.gammas[name] * loss
        return terms

    def _expressivity(self, group: int, target: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of what the student's later stages make of an aggregated map."""
        maps = self._connector("to_student", group)(target)
        with frozen_statistics(self.student):
            logits = self.student.from_stage(self.groups[group].index, maps)
        return cross_entropy(logits, batch.labels)

    def _connector(self, way: str, group: int) -> nn.Module:
        connectors_of_way: nn.ModuleList = self.connectors[way]  # type: ignore[assignment]
        return connectors_of_way[group]

    def _try_later_stages(self) -> None:
        """Run the student from each group on, on shapes alone: a refusal comes before training."""
        values = dict(ghosts(self.student))
        for group in self.groups:
            stage = self.student.stages[group.index]
            maps = self.student.classifier.weight.new_empty(
                2, stage.channels, *stage.size, device="meta"
            )
            with torch.no_grad():
                functional_call(self.student, values, (maps,), {"after": group.index})
