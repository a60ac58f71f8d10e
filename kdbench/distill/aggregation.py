"""DFA's groups of teacher maps: what is in them, what joins them, and how they are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdbench.distill.full_precision import full_precision
from kdbench.distill.regressors import resizing
from kdbench.errors import BadValue, UnknownName
from kdbench.models.shapes import ghost_pass
from kdbench.models.stages import Features, Stage, StagedNetwork

STRENGTHS = ("raw", "matched")


@dataclass(frozen=True)
class Group:
    """The stage of one index in two networks.

    Attributes:
        index: of the stage, 0 for the stem.
        blocks: number of the teacher's maps, at least 1.
        teacher: shape that all of them have.
        student: shape of the student's last map.
    """

    index: int
    blocks: int
    teacher: Stage
    student: Stage

    @property
    def names(self) -> tuple[str, ...]:
        """What the group's weights are called in a scheme, shallow to deep; blocks count from 1.

        >>> shape = Stage("stage3", 64, (8, 8))
        >>> Group(3, 2, shape, shape).names
        ('g3-b1', 'g3-b2')
        """
        return tuple(f"g{self.index}-b{block}" for block in range(1, self.blocks + 1))

    def maps(self, teacher: Features) -> Tensor:
        """The teacher's maps, (L, B, C, H, W)."""
        return torch.stack(teacher.blocks[self.index])


def groups_of(student: StagedNetwork, teacher: StagedNetwork, *, stem: bool) -> tuple[Group, ...]:
    """The groups of a pair, from measured shapes.

    Args:
        student: any network: of each stage only the last block counts.
        teacher: its blocks must have one shape within each stage.
        stem: whether the stems are a group too.

    Raises:
        BadValue: unequal numbers of stages, or blocks of unequal shapes in a stage of the teacher.

    Source: Guan et al., DFA, ECCV 2020, section 3: layers are grouped by spatial size. Our reading:
    by stage, since stages are what changes the size.
    """
    ours, theirs = block_shapes(student), block_shapes(teacher)
    if len(ours) != len(theirs):
        counts = f"{len(theirs)} stages of the teacher and {len(ours)} of the student"
        advice = "choose a student with as many stages as its teacher"
        raise BadValue("dfa, groups", counts, "as many in both, stems included", advice)
    first = 0 if stem else 1
    return tuple(
        Group(index, len(theirs[index]), _shared(theirs[index]), ours[index][-1])
        for index in range(first, len(ours))
    )


def block_shapes(network: StagedNetwork) -> list[list[Stage]]:
    """Shape of every block's map by stage, measured without computing a number."""
    features: Features = ghost_pass(network, (2, *network.image), read=True)
    return [
        [Stage(stage.name, m.shape[1], (m.shape[2], m.shape[3])) for m in maps]
        for stage, maps in zip(network.stages, features.blocks, strict=True)
    ]


def _shared(shapes: Sequence[Stage]) -> Stage:
    """The one shape of a stage's blocks."""
    distinct = list(dict.fromkeys(shapes))
    if len(distinct) > 1:
        unequal = " and ".join(str((shape.channels, *shape.size)) for shape in distinct[:2])
        expected = "maps of one shape (C, H, W) in a stage, which can be averaged"
        advice = "choose a teacher whose stages keep their width, such as a ResNet or a WRN"
        where = f"dfa, teacher's {distinct[0].name}"
        raise BadValue(where, f"blocks of {unequal}", expected, advice)
    return distinct[0]


@full_precision
def aggregate(maps: Tensor, shares: Tensor) -> Tensor:
    """A = Σ_j share_j T_j: one map in the place of a group's L maps.

    Args:
        maps: (L, B, C, H, W).
        shares: (L,), non-negative and of sum 1.

    Returns:
        (B, C, H, W), float32 or wider.

    Source: Guan et al., DFA, ECCV 2020, section 3 (feature aggregation).
    """
    average: Tensor = torch.tensordot(shares.to(maps.dtype), maps, dims=1)
    return average


@full_precision
def matched(maps: Tensor) -> Tensor:
    """Aggregated maps (B, C, H, W) divided by their root mean square over the whole batch.

    A squared distance from maps grows with their strength, and a teacher's maps grow with depth: at
    one weight of the loss, other shares make another loss. At equal strength only what the maps
    show differs. Maps that are 0 stay so.
    """
    return maps / maps.square().mean().sqrt().clamp_min(torch.finfo(maps.dtype).tiny)


def check_strength(strength: str) -> None:
    """Refuse what is none of `STRENGTHS`.

    Raises:
        UnknownName: with the nearest that is.
    """
    if strength not in STRENGTHS:
        raise UnknownName("choice", strength, STRENGTHS, where="dfa, strength")


def target(maps: Tensor, shares: Tensor, strength: str) -> Tensor:
    """What a group's maps (L, B, C, H, W) teach with given shares (L,): A, or `matched` A."""
    average = aggregate(maps, shares)
    return matched(average) if strength == "matched" else average


def connectors(pairs: Sequence[tuple[Stage, Stage]]) -> nn.ModuleList:
    """A convolution for each pair of shapes, input and output: 1×1 where the sizes are equal.

    Where they differ it also resizes, see `kdbench.distill.regressors.resizing`. No norm, no ReLU.
    """
    return nn.ModuleList(resizing(source, target) for source, target in pairs)
