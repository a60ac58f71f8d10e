"""Knowledge distillation from several teachers: the mean of their softened probabilities."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.kd import KD
from kdbench.distill.several_teachers import each_teacher
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features


def kd_mean(student: Tensor, teachers: Sequence[Tensor], temperature: float) -> Tensor:
    """Kullback-Leibler divergence from the mean of the teachers' softened probabilities.

    Its gradient is that of the mean of one `kd` per teacher, because the divergence is linear in
    the target but for a constant. The values differ by how much the teachers disagree.

    Args:
        student: (B, classes) logits, with a graph.
        teachers: (B, classes) logits of the same images, one per teacher; no gradient flows into
            them.
        temperature: what the logits are divided by, above 0.

    Returns:
        Scalar in nats, reduced as in `kd`; equal to it for one teacher.

    Source: You et al., Learning from Multiple Teacher Networks, KDD 2017, section 3.1.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    ours = F.log_softmax(student.to(dtype) / temperature, dim=1)
    each = [F.log_softmax(logits.detach().to(dtype) / temperature, dim=1) for logits in teachers]
    mean = torch.logsumexp(torch.stack(each), dim=0) - math.log(len(each))
    divergence = F.kl_div(ours, mean, reduction="batchmean", log_target=True)
    return divergence * temperature**2


class MeanKD(KD):
    """Weighs `kd_mean` between the student's logits and those of all teachers."""

    reads_several = True

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"kd": scalar}."""
        logits = [features.logits for features in each_teacher(teacher)]
        return {"kd": self.weight * kd_mean(student.logits, logits, self.temperature)}
