"""The modules of stages, and the three ways in which a convolutional one ends."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import relu


class StageMaps(NamedTuple):
    """What one stage computes; each map is (B, C, H, W).

    Attributes:
        pre: before the stage's last ReLU.
        post: after it.
        out: the stage's feature in the field's sense (see `Features`).
        blocks: the output of every block, or nothing when it was not asked for.
        carried: what the next stage, or the head, computes with: `post`, or all tokens
            (B, 1 + H · W, D) of a transformer.
    """

    pre: Tensor
    post: Tensor
    out: Tensor
    blocks: list[Tensor]
    carried: Tensor


class Segment(nn.Module, ABC):
    """The module of one stage: blocks in a row and an ending. Subclasses say which ending.

    Args:
        blocks: modules from map to map, in order; at least one.
        entry: what the map of the previous stage passes first, if anything: a pooling, or the
            convolution and pooling of a transition. Its output is no block's.
    """

    def __init__(self, *blocks: nn.Module, entry: nn.Module | None = None) -> None:
        super().__init__()
        self.entry = nn.Identity() if entry is None else entry
        self.blocks = nn.ModuleList(blocks)

    @abstractmethod
    def forward(self, x: Tensor, keep: bool = False) -> StageMaps:
        """Run the stage on what the one before carried, keeping the blocks' outputs if asked."""

    def activate(self, pre: Tensor) -> Tensor:
        """What stands between the stage's `pre` and its `post`."""
        return relu(pre)

    def finish(self, raw: Tensor) -> Tensor:
        """What the next stage computes with, given a map in the place of the last block's output.

        All that stands between the two runs on it: here the ReLU, if there is one.
        """
        return self.activate(raw)

    def run_blocks(self, x: Tensor, keep: bool) -> tuple[Tensor, list[Tensor]]:
        """Output of the last block, and every block's if asked, with nothing between blocks."""
        blocks = []
        x = self.entry(x)
        for block in self.blocks:
            x = block(x)
            if keep:
                blocks.append(x)
        return x, blocks

    @property
    def last_norm(self) -> nn.BatchNorm2d | None:
        """The batch norm before the stage's last ReLU, or None."""
        return None


class ActivatedStage(Segment):
    """A ReLU follows every block, so that the last block's output is `pre` (ResNet, VGG)."""

    def forward(self, x: Tensor, keep: bool = False) -> StageMaps:
        """See `Segment`."""
        blocks = []
        x = self.entry(x)
        for block in self.blocks:
            pre = block(x)
            x = self.activate(pre)
            if keep:
                blocks.append(pre)
        return StageMaps(pre, x, x, blocks, x)

    @property
    def last_norm(self) -> nn.BatchNorm2d | None:
        """The norm that the last block names as its own, if it does."""
        norm: nn.BatchNorm2d | None = getattr(self.blocks[-1], "last_norm", None)
        return norm


class PreActivatedStage(Segment):
    """Raw maps run through all blocks; a norm and a ReLU end the stage (Wide ResNet, DenseNet).

    The norm is the one that other code bases count as the first of the next stage, or of the
    transition to it. Here it ends this one, so that `pre` comes from the one place where the norm
    really runs.
    """

    def __init__(
        self, *blocks: nn.Module, norm: nn.BatchNorm2d, entry: nn.Module | None = None
    ) -> None:
        super().__init__(*blocks, entry=entry)
        self.norm = norm

    def forward(self, x: Tensor, keep: bool = False) -> StageMaps:
        """See `Segment`."""
        x, blocks = self.run_blocks(x, keep)
        pre = self.norm(x)
        post = self.activate(pre)
        return StageMaps(pre, post, x, blocks, post)

    def finish(self, raw: Tensor) -> Tensor:
        """The norm, then the ReLU: both belong to what follows the raw map."""
        return self.activate(self.norm(raw))

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that ends the stage."""
        return self.norm


class LinearStage(Segment):
    """Blocks in a row and nothing after the last: neither norm nor ReLU.

    The stem of Wide ResNet, the linear bottlenecks of MobileNet-v2, PyramidNet's sums: `pre`,
    `post` and `out` are the last block's output.
    """

    def forward(self, x: Tensor, keep: bool = False) -> StageMaps:
        """See `Segment`."""
        x, blocks = self.run_blocks(x, keep)
        return StageMaps(x, x, x, blocks, x)

    def activate(self, pre: Tensor) -> Tensor:
        """Nothing: the map as it is."""
        return pre
