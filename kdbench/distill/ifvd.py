"""IFVD: how near every pixel's feature is to the centre of its class, in student and teacher."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.exhibits.tasks import IGNORED
from kdbench.models.stages import Features, StagedNetwork


def variation(features: Tensor, masks: Tensor, classes: int) -> Tensor:
    """Cosine of every place's feature and the mean feature of its class in the same image.

    Args:
        features: (B, C, H, W).
        masks: (B, H, W) integers from 0 to `classes` - 1, or `IGNORED`.
        classes: how many there are.

    Returns:
        (B, H, W); 1 at ignored places, whose centre is their own feature.

    Source: Wang et al., Intra-class feature variation distillation, ECCV 2020, section 3.2; what
    happens at ignored places is its code's.
    """
    counted = masks != IGNORED
    members = F.one_hot(torch.where(counted, masks, classes), classes + 1)[..., :classes]
    members = members.to(features.dtype)  # (B, H, W, classes)
    sums = torch.einsum("bchw,bhwk->bkc", features, members)
    sizes = members.sum((1, 2)).clamp(min=1.0)  # (B, classes)
    centres = torch.einsum("bkc,bhwk->bchw", sums / sizes[..., None], members)
    centres = torch.where(counted[:, None], centres, features)
    return F.cosine_similarity(features, centres, dim=1)


def ifvd(student: Tensor, teacher: Tensor, masks: Tensor, classes: int) -> Tensor:
    """Mean squared difference of the two networks' `variation`.

    Args:
        student: (B, C, h, w) features.
        teacher: (B, D, h', w') features; enlarged or shrunk to the student's size.
        masks: (B, H, W) classes; the nearest pixel's is each place's.
        classes: how many there are.

    Returns:
        Scalar, float32 or wider.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    student, teacher = student.to(dtype), teacher.to(dtype)
    size = (student.shape[2], student.shape[3])
    if teacher.shape[2:] != student.shape[2:]:
        teacher = F.interpolate(teacher, size, mode="bilinear", align_corners=True)
    small = F.interpolate(masks[:, None].to(torch.float32), size, mode="nearest")[:, 0].long()
    return F.mse_loss(variation(student, small, classes), variation(teacher, small, classes))


class IFVD(DistillationLoss):
    """Intra-class feature variation of the last map, which the classifier looks at.

    Args:
        student: gives the number of classes.
        teacher: not read.
        weight: factor of the term.

    Source: Wang et al., ECCV 2020. Its adversarial term is left out, as DistPro does; its
    pixel-wise term is the method `kd_pixel`.
    """

    def __init__(self, student: StagedNetwork, teacher: StagedNetwork, *, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.classes = student.classifier.out_features

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"ifvd": scalar}."""
        loss = ifvd(student.post[-1], teacher.post[-1], batch.labels, self.classes)
        return {"ifvd": self.weight * loss}
