"""Classifiers whose classes come in another order than ours: told, and put right."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from kdbench.errors import DamagedData

AGAIN = "give a file with a class name per line, or a JSON list of them"


def read_order(file: Path, classes: Sequence[str]) -> list[str]:
    """Class names in the order of a classifier's outputs: a line each, or a JSON list.

    Of a line the first word counts, so that `wnids.txt` and `words.txt` can be given.

    Raises:
        DamagedData: the file cannot be read, or its names are not those of the classes.
    """
    try:
        text = file.read_text(encoding="utf-8")
        names = json.loads(text) if text.lstrip().startswith("[") else text.splitlines()
    except (OSError, ValueError) as error:
        raise DamagedData(file, f"{type(error).__name__}", "class names", AGAIN) from None
    lines = [str(name).strip() for name in names if str(name).strip()]
    known = set(classes)
    listed = [line if line in known else line.split()[0] for line in lines]
    for name in listed:
        if name not in known:
            raise DamagedData(file, f"class {name!r}", f"the {len(classes)} of the data set", AGAIN)
    if sorted(listed) != sorted(classes):
        raise DamagedData(file, f"{len(listed)} names", f"each of {len(classes)} once", AGAIN)
    return listed


def reordered(
    weights: Mapping[str, Tensor], order: Sequence[str], classes: Sequence[str]
) -> dict[str, Tensor]:
    """Weights whose classifier gives its logits in the order of `classes`, not of `order`."""
    rows = [order.index(name) for name in classes]
    return {
        key: tensor[rows] if key in ("classifier.weight", "classifier.bias") else tensor
        for key, tensor in weights.items()
    }


def best_order(logits: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in percent, were the outputs in the order that suits the labels best.

    Far above the plain accuracy only where the classes come in another order.

    Args:
        logits: (N, classes).
        labels: (N,).
    """
    from scipy.optimize import linear_sum_assignment

    count = logits.shape[1]
    pairs = labels.cpu().numpy() * count + logits.argmax(1).cpu().numpy()
    table = np.bincount(pairs, minlength=count * count).reshape(count, count)
    return 100 * float(table[linear_sum_assignment(table, maximize=True)].sum()) / len(labels)
