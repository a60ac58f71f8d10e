"""How far a network's outputs are from the labels, or from a teacher's outputs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.errors import UnknownName

ORDERS = ("teacher-first", "student-first")


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The task's loss: cross-entropy in nats, averaged over the batch.

    Args:
        logits: (B, classes).
        labels: (B,) integers.

    Returns:
        Scalar, float32 or wider.
    """
    return F.cross_entropy(logits.to(_wide(logits)), labels)


def softened_kl(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: float,
    order: str,
    times_square: bool,
) -> Tensor:
    """Kullback-Leibler divergence between softened probabilities, image by image.

    Args:
        student: (B, classes) logits, with a graph.
        teacher: (B, classes) logits of the same images; no gradient flows into them.
        temperature: what the logits are divided by, above 0.
        order: "teacher-first" is KL(teacher ‖ student), Hinton's and the field's;
            "student-first" is KL(student ‖ teacher), as the paper prints it.
        times_square: whether to multiply by the temperature squared, as Hinton does.

    Returns:
        (B,) in nats, float32 or wider; 0 where the two agree. With the teacher first and times the
        square its mean is `kdbench.distill.kd.kd`.

    Raises:
        UnknownName: there is no such order.

    Source: Gu & Tresp, ECAI 2020, section 3; Hinton et al., 2015, section 2.
    """
    if order not in ORDERS:
        raise UnknownName("order", order, ORDERS, where="search, order")
    ours, theirs = (
        F.log_softmax(logits.to(_wide(logits)) / temperature, dim=1)
        for logits in (student, teacher.detach())
    )
    first, second = (theirs, ours) if order == "teacher-first" else (ours, theirs)
    divergence = (first.exp() * (first - second)).sum(1)
    return divergence * temperature**2 if times_square else divergence


def plain_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy of the student's probabilities under the teacher's, none of them softened.

    Args:
        student: (B, classes) logits, with a graph.
        teacher: (B, classes) logits of the same images; no gradient flows into them.

    Returns:
        (B,) in nats, float32 or wider; the teacher's entropy where the two agree.

    Source: Gu & Tresp, ECAI 2020, section 4 (the network-pruning ablation).
    """
    ours = F.log_softmax(student.to(_wide(student)), dim=1)
    theirs = teacher.detach().to(_wide(teacher)).softmax(1)
    return -(theirs * ours).sum(1)


def _wide(values: Tensor) -> torch.dtype:
    """float32, or the wider type of the values."""
    return torch.promote_types(values.dtype, torch.float32)
