"""A transform between the token maps of two transformers: our own design.

DistPro has a block of its own for its ViT pair, in supplementary material that is not at hand. This
one keeps the parts that the block for convolutional maps has, in the forms that transformers have:

1. layer norm over the channels of every token, in place of batch norms: tokens of a residual stream
   have scales of their own, and a transformer has no statistics of batches;
2. a linear map per token to min(512, C_t, C_s) channels, and GELU;
3. spatial attention: a one-channel map, of a linear map per token, multiplies the tokens;
4. a depthwise 3 x 3 convolution on the grid, which lets neighbours see each other, added to what it
   reads;
5. nearest-neighbour resizing to the teacher's grid;
6. a linear map per token, with bias, to the teacher's channels: nothing bounds a residual stream.

Maps come without the class token (`kdbench.models.families.vit`).
"""

from torch import Tensor, nn
from torch.nn.functional import layer_norm


class TokenNorm(nn.Module):
    """Layer norm over the channels of every token of a (B, C, H, W) map, with scale and shift."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """A map of the same shape."""
        tokens = maps.movedim(1, -1)
        scale, shift = self.norm.weight, self.norm.bias
        normed = layer_norm(tokens, self.norm.normalized_shape, scale, shift, self.norm.eps)
        return normed.movedim(-1, 1)


class Neighbours(nn.Module):
    """A depthwise 3 x 3 convolution of a (B, C, H, W) map, added to the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, maps: Tensor) -> Tensor:
        """A map of the same shape."""
        mixed: Tensor = maps + self.mix(maps)
        return mixed
