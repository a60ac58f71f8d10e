"""The three ways in which a stage of a convolutional network ends."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import relu

from kdbench.models.blocks import ConvNorm


class StageMaps(NamedTuple):
    """What one stage shows; each map is (B, C, H, W).

    Attributes:
        pre: before the stage's last ReLU.
        post: after it; the next stage computes with this one.
        out: the stage's feature in the field's sense (see `Features`).
        blocks: the output of every block, or nothing when it was not asked for.
    """

    pre: Tensor
    post: Tensor
    out: Tensor
    blocks: list[Tensor]


class Segment(nn.Module, ABC):
    """A stage: blocks in a row and an ending. Subclasses say which.

    Args:
        blocks: modules from map to map, in order; at least one.
        entry: what the previous stage's `post` passes first, if anything: a pooling, or the
            convolution and pooling of a transition. Its output is no block's.
    """

    def __init__(self, *blocks: nn.Module, entry: nn.Module | None = None) -> None:
        super().__init__()
        self.entry = nn.Identity() if entry is None else entry
        self.blocks = nn.ModuleList(blocks)

    @abstractmethod
    def forward(self, x: Tensor, keep: bool = False) -> StageMaps:
        """Run the stage on the previous stage's `post`, keeping the blocks' outputs if asked."""

    def activate(self, pre: Tensor) -> Tensor:
        """What stands between the stage's `pre` and its `post`."""
        return relu(pre)

    @property
    def last_norm(self) -> nn.BatchNorm2d | None:
        """The batch norm before the stage's last ReLU, or None."""
        return None


class Activated(Segment):
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
        return StageMaps(pre, x, x, blocks)

    @property
    def last_norm(self) -> nn.BatchNorm2d | None:
        """The norm of a last block that is one, or that the last block names as its own."""
        last = self.blocks[-1]
        return last.norm if isinstance(last, ConvNorm) else getattr(last, "last_norm", None)


class PreActivated(Segment):
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
        blocks = []
        x = self.entry(x)
        for block in self.blocks:
            x = block(x)
            if keep:
                blocks.append(x)
        pre = self.norm(x)
        return StageMaps(pre, self.activate(pre), x, blocks)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that ends the stage."""
        return self.norm


class Bare(Segment):
    """Blocks in a row and nothing after the last: neither norm nor ReLU.

    The stem of Wide ResNet, the linear bottlenecks of MobileNet-v2, PyramidNet's sums: `pre`,
    `post` and `out` are the last block's output.
    """

    def forward(self, x: Tensor, keep: bool = False) -> StageMaps:
        """See `Segment`."""
        blocks = []
        x = self.entry(x)
        for block in self.blocks:
            x = block(x)
            if keep:
                blocks.append(x)
        return StageMaps(x, x, x, blocks)

    def activate(self, pre: Tensor) -> Tensor:
        """Nothing: the map as it is."""
        return pre
