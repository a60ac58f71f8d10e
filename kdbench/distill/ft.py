"""Factor transfer: a paraphraser condenses the teacher's map, a translator learns its factors."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.matching import at_smaller_size
from kdbench.distill.schedules import FirstPart
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

SLOPE = 0.1  # of the leaky ReLUs


@full_precision
def ft(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of two factor maps.

    A factor map is the mean over the channels of the squared factors, flattened and divided by its
    L2 norm.

    Args:
        student: (B, C_s, H, W) factors.
        teacher: (B, C_t, H_t, W_t); the larger map is averaged to the size of the smaller.

    Returns:
        Scalar, averaged over images and places.

    Source: Kim et al., NeurIPS 2018, eq. 2 with p = 1, in the form of RepDistiller.
    """
    ours, theirs = (
        F.normalize(maps.square().mean(1).flatten(1)) for maps in at_smaller_size(student, teacher)
    )
    return (ours - theirs).abs().mean()


class Paraphraser(nn.Module):
    """An autoencoder of the teacher's last map, without norms.

    Args:
        channels: of the map.
        factors: channels of the code.
    """

    def __init__(self, channels: int, factors: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, factors, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(factors, factors, 3, padding=1),
            nn.LeakyReLU(SLOPE),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(factors, factors, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(factors, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, channels, H, W) rebuilt from its factors."""
        rebuilt: Tensor = self.decoder(self.encoder(maps))
        return rebuilt


class Translator(nn.Sequential):
    """The student's last map to factors, with norms.

    Args:
        channels: of the map.
        factors: of the code.
    """

    def __init__(self, channels: int, factors: int) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in ((channels, channels), (channels, factors), (factors, factors)):
            conv = nn.Conv2d(inputs, outputs, 3, padding=1)
            layers += [conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(SLOPE)]
        super().__init__(*layers)


class FT(DistillationLoss):
    """Its first part trains the paraphraser; then `ft` of the last maps' factors.

    Args:
        student: gives the width of its last stage.
        teacher: the same.
        weight: factor of the term.
        share: factors over the teacher's channels, rounded down, at least 1 factor.
        first_epochs: length of the first part, of a published training of `first_of` epochs; a
            shorter training shortens it in proportion.
        first_of: see `first_epochs`.
        first_lr: learning rate of the first part, constant.

    Source: Kim et al., Paraphrasing Complex Network: Network Compression via Factor Transfer,
    NeurIPS 2018, in the form of RepDistiller.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        share: float,
        first_epochs: int,
        first_of: int,
        first_lr: float,
    ) -> None:
        super().__init__()
        self.weight = weight
        channels = teacher.stages[-1].channels
        factors = max(1, int(channels * share))
        self.paraphraser = Paraphraser(channels, factors)
        self.translator = Translator(student.stages[-1].channels, factors)
        self.first = FirstPart(first_epochs, first_of, first_lr, trains_trunk=False)

    def first_terms(
        self, student: Features | None, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term of the first part, {"paraphrase": mean squared error of the rebuilt map}."""
        maps = teacher.out[-1]
        return {"paraphrase": F.mse_loss(self.paraphraser(maps).float(), maps.float())}

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"ft": scalar}; the paraphraser stays as the first part left it."""
        with torch.no_grad():
            theirs = self.paraphraser.encoder(teacher.out[-1])
        return {"ft": self.weight * ft(self.translator(student.out[-1]), theirs)}
