"""DistPro's pathways: every chosen pair of stages, seen through every candidate transform."""

import re
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.hcl import hcl
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.scheme import Scheme
from kdbench.distill.transforms import transform
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue, UnknownName
from kdbench.models.stages import Features, StagedNetwork

CONNECTIONS = ("all", "downward")
WEIGHTS = ("equal", "last", "process")
FACTORS = ("none", "release")

Pathway = tuple[int, int, str]  # teacher stage, student stage, transform
PAIR = re.compile(r"t(\d+)-s(\d+)")  # of maps, as a user writes it


def chosen(
    student: int,
    teacher: int,
    *,
    connections: str,
    maps: Sequence[str],
    stem: bool,
    transforms: Sequence[str],
) -> list[Pathway]:
    """The pathways between two networks, from nothing but their numbers of stages.

    Args:
        student: number of the student's stages, the stem included.
        teacher: number of the teacher's stages, the stem included.
        connections: "all", or "downward" for student stages at or below the teacher's, which is
            ReviewKD's direction and the release's rule.
        maps: pairs of a teacher's and a student's stage, such as "t3-s1", in place of what
            `connections` and `stem` say; none to follow these.
        stem: whether stage 0 takes part; it does in the release and does not in the paper.
        transforms: names of the blocks, see `kdbench.distill.transforms`.

    Returns:
        (teacher stage, student stage, transform) in this order of significance: 27 between two
        networks of three stages and a stem; 10 with "downward", the stem and one transform.

    Raises:
        UnknownName: an option has no such value.
        BadValue: there is no transform, or one is named twice; a pair of maps is named twice, or
            the networks have no such stage.

    Source: Deng et al., DistPro, ECCV 2022, section 4.1; section 4.4 has pathways from the
    teacher's last map to the student's first three, here `maps` of t3-s1, t3-s2 and t3-s3.
    """
    if connections not in CONNECTIONS:
        raise UnknownName("choice", connections, CONNECTIONS, where="pathways, connections")
    if not transforms or len(set(transforms)) < len(transforms):
        raise BadValue("pathways, transforms", list(transforms), "at least one, none twice")
    first = 0 if stem else 1
    by_rule = [
        (theirs, ours)
        for theirs in range(first, teacher)
        for ours in range(first, student)
        if connections == "all" or ours >= theirs
    ]
    pairs = _named(maps, student, teacher) or by_rule
    return [(theirs, ours, kind) for theirs, ours in pairs for kind in transforms]


def _named(maps: Sequence[str], student: int, teacher: int) -> list[tuple[int, int]]:
    """Pairs of stages as their names say, in order; the numbers of stages bound them."""
    pairs = []
    for name in maps:
        match = PAIR.fullmatch(name)
        if match is None or not (int(match[1]) < teacher and int(match[2]) < student):
            expected = f"a pair from t0-s0 to t{teacher - 1}-s{student - 1}"
            raise BadValue("pathways, maps", name, expected)
        pairs.append((int(match[1]), int(match[2])))
    if len(set(pairs)) < len(pairs):
        raise BadValue("pathways, maps", list(maps), "no pair twice")
    return sorted(pairs)


def spell(pathway: Pathway) -> str:
    """The name of a pathway.

    >>> spell((1, 3, "complex"))
    't1-s3-complex'
    """
    theirs, ours, kind = pathway
    return f"t{theirs}-s{ours}-{kind}"


class Pathways(DistillationLoss):
    """Distances between teacher maps and transformed student maps, weighted along the training.

    Both networks give the maps before the last ReLU (`pre`). The distance is `hcl`.

    Args:
        student: gives the shapes of the student's stages.
        teacher: gives the shapes of the teacher's stages.
        scheme: what a search found; not looked at by "equal".
        weights: "equal" is 1 / n for each of n pathways; "last" is the last row of the scheme at
            every step; "process" is the scheme stretched over the training, its first row at the
            first step and its last row at the last, linear in between.
        connections: see `chosen`.
        maps: see `chosen`.
        stem: see `chosen`.
        transforms: see `chosen`.
        factor: "none" takes the weights as they are, as the paper says; "release" multiplies them
            by n times `kd_weight`, as the released code does in its retraining, of which the
            paper does not speak.
        kd_weight: see `factor`.
        drop: leave out, without computing them, the pathways whose alpha is at or below `tau`.
            The weights of the others stay as they are: the paper does not say that they are
            normalised anew. "equal" has no alphas and never drops.
        tau: see `drop`.

    Raises:
        UnknownName: an option has no such value.
        BadValue: the scheme is missing or belongs to other pathways.

    Source: Deng et al., DistPro, ECCV 2022, sections 3.2 to 3.4.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        scheme: Scheme | None = None,
        weights: str,
        connections: str,
        maps: Sequence[str],
        stem: bool,
        transforms: Sequence[str],
        factor: str,
        kd_weight: float,
        drop: bool,
        tau: float,
    ) -> None:
        super().__init__()
        for key, value, known in (("weights", weights, WEIGHTS), ("factor", factor, FACTORS)):
            if value not in known:
                raise UnknownName("choice", value, known, where=f"pathways, {key}")
        ours, theirs = student.stages, teacher.stages
        space: dict[str, Any] = {"connections": connections, "maps": maps, "stem": stem}
        self.pathways = chosen(len(ours), len(theirs), **space, transforms=transforms)
        self.names = tuple(spell(pathway) for pathway in self.pathways)
        self.transforms = nn.ModuleList(
            transform(k, ours[j], theirs[i]) for i, j, k in self.pathways
        )
        self.rule, self.tau, self.drop = weights, tau, drop
        self.factor = 1.0 if factor == "none" else len(self.pathways) * kd_weight
        if weights != "equal":
            if scheme is None:
                raise BadValue("pathways, scheme", None, "what a search found", "run the search")
            scheme.expect(self.names)
        self.scheme = scheme

    def losses(
        self, student: Features, teacher: Features, active: Sequence[int] | None = None
    ) -> Tensor:
        """Unweighted loss of each pathway.

        Args:
            student: features with a graph.
            teacher: features without a graph.
            active: positions of the pathways to compute; None for all n. Transforms of the others
                are not called.

        Returns:
            (n,), or (len(active),) in the order of `active`, which must not be empty.
        """
        which = range(len(self.pathways)) if active is None else active
        maps = [student.pre[self.pathways[index][1]] for index in which]
        return self.distances(maps, teacher, which)

    def distances(
        self, maps: Sequence[Tensor], teacher: Features, active: Sequence[int] | None = None
    ) -> Tensor:
        """The same from the student's maps (B, C, H, W), one for each pathway."""
        losses = []
        which = range(len(self.pathways)) if active is None else active
        for index, own in zip(which, maps, strict=True):
            theirs, _, _ = self.pathways[index]
            losses.append(hcl(self.transforms[index](own), teacher.pre[theirs]))
        return torch.stack(losses)

    def work(self, position: TrainingPosition) -> Hashable:
        """The pathways that are not dropped."""
        return self._active(position)

    def at(self, position: TrainingPosition) -> tuple[list[int], Tensor]:
        """The pathways that count at a step, and their weights; worked out on the CPU.

        Returns:
            Positions of the k pathways that are not dropped, and (k,) float64 weights.
        """
        n = len(self.pathways)
        if self.rule == "equal" or self.scheme is None:
            return list(range(n)), torch.full((n,), self.factor / n, dtype=torch.float64)
        place = 1.0 if self.rule == "last" else position.step / max(1, position.steps - 1)
        weights, alphas = self.scheme.at(place)
        active = [k for k, alpha in enumerate(alphas.tolist()) if not self.drop or alpha > self.tau]
        return active, self.factor * weights[active]

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"pathways": scalar}; a constant 0 when every pathway is dropped."""
        active = position.read(self._active)
        if not active:
            return {"pathways": student.logits.new_zeros(())}
        losses = self.losses(student, teacher, active)
        dtype = losses.dtype  # were it `losses`, what is noted would keep the whole step's graph
        weights = position.feed(lambda at: self.at(at)[1].to(dtype), losses.device)
        with torch.autocast(losses.device.type, enabled=False):  # or the product is rounded
            return {"pathways": weights @ losses}

    def _active(self, position: TrainingPosition) -> tuple[int, ...]:
        """The pathways that are not dropped."""
        return tuple(self.at(position)[0]) if self.drop else tuple(range(len(self.pathways)))
