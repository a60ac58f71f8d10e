"""Contrastive representation distillation: tell the teacher's view of an image from others'."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.engine import ranks
from kdbench.engine.position import TrainingPosition
from kdbench.engine.seeds import derive
from kdbench.errors import BadValue
from kdbench.models.stages import Features, StagedNetwork

EPS = 1e-7


@full_precision
def contrast(scores: Tensor, images: int) -> Tensor:
    """Noise-contrastive loss of telling one positive from K negatives.

    Args:
        scores: (B, 1 + K) normalised exponentials, the positive first.
        images: in the training set; the noise is uniform over them.

    Returns:
        Scalar, averaged over the batch, summed over positive and negatives.

    Source: Tian et al., ICLR 2020, section 3.2; ε and the mean over images as in its release.
    """
    noise = (scores.shape[1] - 1) / images
    positive, negative = scores[:, :1], scores[:, 1:]
    hits = (positive / (positive + noise + EPS)).log().sum()
    misses = (noise / (negative + noise + EPS)).log().sum()
    return -(hits + misses) / len(scores)


class Memory(nn.Module):
    """One network's latest embedding of every training image.

    Args:
        images: N.
        dimension: D of the embeddings.
        momentum: share of the old embedding that stays.
        temperature: what inner products are divided by.
    """

    rows: Tensor  # (N, D)
    partition: Tensor  # scalar

    def __init__(self, images: int, dimension: int, momentum: float, temperature: float) -> None:
        super().__init__()
        self.momentum, self.temperature = momentum, temperature
        bound = 1 / math.sqrt(dimension / 3)
        self.register_buffer("rows", torch.empty(images, dimension).uniform_(-bound, bound))
        self.register_buffer("partition", torch.tensor(-1.0))  # set by the first batch

    @torch.no_grad()
    def _fix_partition(self, scores: Tensor) -> None:
        first = ranks.mean(scores.mean()) * len(self.rows)
        self.partition.copy_(torch.where(self.partition < 0, first, self.partition))

    def scores(self, other: Tensor, chosen: Tensor) -> Tensor:
        """How well the other network's embeddings fit the chosen rows.

        Args:
            other: (B, D) of unit length.
            chosen: (B, 1 + K) positions in the training set.

        Returns:
            (B, 1 + K): exponentials over a constant that the first batch fixed.
        """
        products = (other @ self.rows.T).gather(1, chosen)
        exponentials = (products / self.temperature).exp()
        self._fix_partition(exponentials)
        return exponentials / self.partition

    @torch.no_grad()
    def update(self, own: Tensor, index: Tensor) -> None:
        """Move the rows of a batch's images towards their (B, D) embeddings.

        The rows are replaced, not written to: the backward pass still needs the old ones.
        """
        moved = self.momentum * self.rows[index] + (1 - self.momentum) * own
        unit = moved / moved.norm(dim=1, keepdim=True).clamp(min=EPS)  # opposite halves cancel
        self.rows = self.rows.index_copy(0, index, unit)


class CRD(DistillationLoss):
    """Weighs both directions: the student against the teacher's memory, and the reverse.

    Args:
        student: gives the length of its pooled vector.
        teacher: the same; its embedding is trained as well.
        labels: (N,) of the whole training set; positions in it are the batches' `index`.
        weight: factor of the term.
        negatives: K.
        dimension: of the embeddings.
        temperature: what inner products are divided by.
        momentum: of the memories.

    Raises:
        BadValue: a training set of a single class has no negatives.

    Source: Tian et al., Contrastive Representation Distillation, ICLR 2020, and its code.
    """

    uncaptured = "crd replaces its memories at every step"
    labels: Tensor
    others: Tensor  # (C,) images that are not of the class
    seed: Tensor  # in checkpoints; steps read `_drawn_by`, or each would wait for the device

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        labels: Tensor,
        weight: float,
        negatives: int,
        dimension: int,
        temperature: float,
        momentum: float,
    ) -> None:
        super().__init__()
        if (labels == labels[0]).all():
            raise BadValue("crd", "one class", "training images of two classes or more")
        self.weight, self.negatives = weight, negatives
        self.embed_student = nn.Linear(student.pooled_width, dimension)
        self.embed_teacher = nn.Linear(teacher.pooled_width, dimension)
        size = len(labels), dimension, momentum, temperature
        self.of_student, self.of_teacher = Memory(*size), Memory(*size)
        self.register_buffer("labels", labels.clone())
        counts = torch.bincount(labels)
        self.register_buffer("others", len(labels) - counts, persistent=False)
        # So far into an order of all images a row finds its negatives, wherever it begins.
        self.width = min(len(labels), negatives + int(counts.max()))
        self.register_buffer("seed", torch.randint(2**31, ()))
        self._drawn_by = int(self.seed)
        self.register_load_state_dict_post_hook(_take_seed)  # type: ignore[no-untyped-call]

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"crd": scalar}; in train mode the memories take the batch in."""
        kind = self.of_student.rows.dtype  # float32, also where the networks compute in bfloat16
        ours = F.normalize(self.embed_student(student.pooled).to(kind))
        theirs = F.normalize(self.embed_teacher(teacher.pooled).to(kind))
        chosen = torch.cat([batch.index[:, None], self.draw(batch, position)], dim=1)
        return {"crd": self.weight * self.both(ours, theirs, chosen, batch.index)}

    def both(self, ours: Tensor, theirs: Tensor, chosen: Tensor, index: Tensor) -> Tensor:
        """Both directions for unit embeddings (B, D) and positions (B, 1 + K); updates."""
        images = len(self.labels)
        with torch.autocast(ours.device.type, enabled=False):
            loss = contrast(self.of_teacher.scores(ours, chosen), images)
            loss = loss + contrast(self.of_student.scores(theirs, chosen), images)
        if self.training:  # every rank takes in the images of all
            everywhere = ranks.rows(index)
            self.of_student.update(ranks.rows(ours.detach()), everywhere)
            self.of_teacher.update(ranks.rows(theirs.detach()), everywhere)
        return loss

    def bytes_held(self, images: int, batch: int) -> int:
        """Both memories, and of the step what is larger: the draw's rows, or the backward pass.

        While a step draws, each image of the batch has two positions (8 bytes) and three bytes per
        image that the draw looks at. The backward pass still needs the old memories beside the new
        ones, and per image of the batch and of the training set three numbers of 4 bytes: the
        products with both memories and a gradient.
        """
        rows = self.of_student.rows
        memory = images * rows.shape[1] * rows.element_size()
        return 2 * memory + max(19 * batch * self.width, 2 * memory + 12 * batch * images)

    @torch.no_grad()
    def draw(self, batch: Batch, position: TrainingPosition) -> Tensor:
        """(B, K) positions of images of other classes, the same whenever this step is taken.

        Without repetition within a row, as long as there are enough: a random order of the whole
        training set, begun at a random place for each row, the row's own class passed over. It is
        followed no further than the largest class can hold a row up.
        """
        images, own, device = len(self.labels), len(batch.index), batch.index.device
        size, before = own * ranks.size(), own * ranks.at_work().rank  # all ranks' rows are drawn
        drawn = position.feed(lambda at: self._order_and_begin(at, size), device)
        order, begin = drawn[:images], drawn[images + before :][:own, None]
        rows = order[(begin + torch.arange(self.width, device=device)) % images]
        others = self.labels[rows] != batch.labels[:, None]
        first = others.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices
        enough = self.others[batch.labels][:, None]
        places = torch.arange(self.negatives, device=rows.device) % enough
        return rows.gather(1, first.gather(1, places))

    def _order_and_begin(self, position: TrainingPosition, size: int) -> Tensor:
        """(N + B,) int64 on the CPU: an order of the training set, and a place in it per row."""
        generator = torch.Generator().manual_seed(derive(self._drawn_by, "crd", position.step))
        images = len(self.labels)
        order = torch.randperm(images, generator=generator)
        return torch.cat([order, torch.randint(images, (size, 1), generator=generator)[:, 0]])


def _take_seed(module: nn.Module, incompatible: object) -> None:
    if isinstance(module, CRD):
        module._drawn_by = int(module.seed)
