"""Slow, obvious forms of the losses: one image, one channel, one pair at a time."""

from itertools import pairwise

import torch
from torch import stack


def squeeze(maps, size):
    """Average (B, C, H, W) maps over equal cells, one cell at a time."""
    cell = maps.shape[2] // size
    rows = [
        stack(
            [
                maps[:, :, i * cell : (i + 1) * cell, j * cell : (j + 1) * cell].mean((2, 3))
                for j in range(size)
            ],
            2,
        )
        for i in range(size)
    ]
    return stack(rows, 2)


def same_size(student, teacher):
    """Both at the smaller size."""
    size = min(student.shape[2], teacher.shape[2])
    return squeeze(student, size), squeeze(teacher, size)


def at(student, teacher):
    """One image at a time."""
    total = 0
    student, teacher = same_size(student, teacher)
    for ours, theirs in zip(student, teacher, strict=True):
        maps = [sum(channel**2 for channel in x) / len(x) for x in (ours, theirs)]
        maps = [m / (m**2).sum().sqrt() for m in maps]
        total = total + ((maps[0] - maps[1]) ** 2).sum() / maps[0].numel()
    return total / len(student)


def sp(student, teacher):
    """One pair of images at a time."""
    grams = []
    for maps in (student, teacher):
        rows = []
        for one in maps:
            row = stack([(one * other).sum() for other in maps])
            rows.append(row / (row**2).sum().sqrt())
        grams.append(rows)
    gaps = [((a - b) ** 2).sum() for a, b in zip(*grams, strict=True)]
    return sum(gaps) / len(student) ** 2


def nst(student, teacher):
    """One pair of channels at a time."""
    student, teacher = same_size(student, teacher)
    total = 0
    for ours, theirs in zip(student, teacher, strict=True):
        ours, theirs = ([c / (c**2).sum().sqrt() for c in x] for x in (ours, theirs))

        def kernel(one, other):
            return sum((a * b).sum() ** 2 for a in one for b in other) / len(one) / len(other)

        total = total + kernel(theirs, theirs) + kernel(ours, ours) - 2 * kernel(ours, theirs)
    return total / len(student)


def huber(gap):
    """Smooth L1 of one number."""
    return gap**2 / 2 if abs(gap) < 1 else abs(gap) - 0.5


def rkd_distance(student, teacher):
    """One pair at a time."""
    n, relative = len(student), []
    for x in (student, teacher):
        pairs = {
            (i, j): ((x[i] - x[j]) ** 2).sum().sqrt() for i in range(n) for j in range(n) if i != j
        }
        mean = sum(pairs.values()) / len(pairs)
        relative.append({pair: d / mean for pair, d in pairs.items()})
    return sum(huber(relative[0][pair] - relative[1][pair]) for pair in relative[0]) / n**2


def rkd_angle(student, teacher):
    """One triple at a time."""
    n, total = len(student), 0

    def cosine(x, i, j, k):
        a, b = x[j] - x[i], x[k] - x[i]
        return (a * b).sum() / (a**2).sum().sqrt() / (b**2).sum().sqrt()

    for i in range(n):
        for j in range(n):
            for k in range(n):
                if i not in (j, k):
                    total = total + huber(cosine(student, i, j, k) - cosine(teacher, i, j, k))
    return total / n**3


def pkt(student, teacher):
    """One pair at a time; without the reference's guards, which are 1e-7."""
    rows = []
    for x in (student, teacher):
        unit = [v / (v**2).sum().sqrt() for v in x]
        closeness = [[((a * b).sum() + 1) / 2 for b in unit] for a in unit]
        rows.append([[c / sum(row) for c in row] for row in closeness])
    total = sum(
        p * ((p + 1e-7) / (q + 1e-7)).log()
        for ours, theirs in zip(*rows, strict=True)
        for q, p in zip(ours, theirs, strict=True)
    )
    return total / len(student) ** 2


def cc(student, teacher):
    """One pair of neighbours at a time."""
    gaps = [(a - b).abs() for a, b in zip(student, teacher, strict=True)]
    return sum((a * b).sum() for a, b in pairwise(gaps)) / (len(gaps) - 1)


def vid(predicted, teacher, variance):
    """The density of a Gaussian, one channel at a time, less its constant."""
    total = 0
    for channel, spread in enumerate(variance):
        normal = torch.distributions.Normal(predicted[:, channel], spread.sqrt())
        constant = 0.5 * torch.tensor(2 * torch.pi, dtype=predicted.dtype).log()
        total = total - (normal.log_prob(teacher[:, channel]) + constant).mean()
    return total / len(variance)


def tckd(student, teacher, labels, temperature):
    """One image at a time."""
    total = 0
    for ours, theirs, label in zip(student, teacher, labels, strict=True):
        q, p = (ours / temperature).softmax(0)[label], (theirs / temperature).softmax(0)[label]
        total = total + p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    return total / len(student) * temperature**2


def nckd(student, teacher, labels, temperature):
    """One image and one class at a time."""
    total = 0
    for ours, theirs, label in zip(student, teacher, labels, strict=True):
        classes = [c for c in range(len(ours)) if c != label]
        p, q = ([(x[c] / temperature).exp() for c in classes] for x in (theirs, ours))
        p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
        total = total + sum(a * (a / b).log() for a, b in zip(p, q, strict=True))
    return total / len(student) * temperature**2


def inter_class(student, teacher):
    """Pearson's correlation of one image at a time, by torch's own function."""
    pairs = zip(student, teacher, strict=True)
    return sum(1 - torch.corrcoef(stack([a, b]))[0, 1] for a, b in pairs) / len(student)


def intra_class(student, teacher):
    """The same of one class at a time."""
    return inter_class(student.T, teacher.T)


def instance_level(student, teacher, mask, temperature):
    """One image at a time."""
    total = 0
    for ours, theirs, counts in zip(student, teacher, mask, strict=True):
        q, p = (ours / temperature).softmax(0), (theirs / temperature).softmax(0)
        total = total + (counts * p * (p / q).log()).sum()
    return total / len(student) * temperature**2


def batch_level(student, teacher, mask, temperature):
    """One pair of images at a time."""
    q, p = ([(row / temperature).softmax(0) for row in x] for x in (student, teacher))
    total = 0
    for i in range(len(p)):
        for j in range(len(p)):
            if mask[j]:
                total = total + ((p[i] * p[j]).sum() - (q[i] * q[j]).sum()) ** 2
    return total / len(p)


def class_level(student, teacher, mask, temperature):
    """One pair of classes at a time."""
    q, p = ((x / temperature).softmax(1).T for x in (student, teacher))
    total = 0
    for i in range(len(p)):
        for j in range(len(p)):
            if mask[j]:
                total = total + ((p[i] * p[j]).sum() - (q[i] * q[j]).sum()) ** 2
    return total / len(p)


def standardised(logits):
    """One row at a time."""
    return stack([(row - row.mean()) / (row.std() + 1e-7) for row in logits])
