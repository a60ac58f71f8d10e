"""Checkpoints made elsewhere: read without running anything in them, renamed key by key."""

import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from kdbench.errors import BadValue, DamagedData, UnknownName, UserError

Rules = Sequence[Sequence[str]]  # [pattern, replacement] pairs
OWN = "kdbench"  # the naming of our own weights: no rules
NESTED = ("model", "state_dict", "net", "network", "model_state_dict")  # where weights lie
CLAIMS = ("accuracy", "best_acc", "acc", "test_acc")  # what some codes save beside them
# What NumPy's numbers are pickled with; none of it runs anything.
NUMBERS: tuple[Any, ...] = (
    np.dtype,
    np.float64,
    np.float32,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
)
COUNTER = "num_batches_tracked"  # absent from checkpoints of old versions of torch
SHOWN = 3  # differences of a kind that the one line of an error names


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        weights: tensors by key, as the file calls them, without the prefix of DataParallel.
        claim: the accuracy in percent that the file states, if it does.
    """

    weights: dict[str, Tensor]
    claim: float | None = None


@dataclass(frozen=True)
class Differences:
    """How renamed keys differ from those of a network.

    Attributes:
        missing: keys that the network has and the checkpoint lacks.
        unexpected: keys of the checkpoint, as it calls them, that the network has no place for.
        shapes: lines about keys whose tensors have another shape.
    """

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.shapes)

    def lines(self) -> list[str]:
        """Every difference, a line each."""
        return [
            *(f"missing: {key}" for key in self.missing),
            *(f"unexpected: {key}" for key in self.unexpected),
            *(f"another shape: {line}" for line in self.shapes),
        ]

    def summary(self) -> str:
        """Counts and the first few of each kind, in one line."""
        kinds = ("missing", self.missing), ("unexpected", self.unexpected)
        named = [(word, keys) for word, keys in (*kinds, ("of another shape", self.shapes)) if keys]
        return "; ".join(
            f"{len(keys)} {word} ({', '.join(keys[:SHOWN])}{', ...' if keys[SHOWN:] else ''})"
            for word, keys in named
        )


class ForeignKeys(UserError):
    """A checkpoint whose keys fit a network under no naming.

    Attributes:
        differences: from the naming that fits best.
    """

    exit_code = 3

    def __init__(
        self,
        file: Path,
        network: str,
        naming: str,
        tried: Sequence[str],
        differences: Differences,
    ) -> None:
        self.differences = differences
        super().__init__(
            f"{file}: not the weights of {network}; as {naming} (tried {', '.join(tried)}): "
            f"{differences.summary()}; name the network, or the naming, that the file was made with"
        )


def read_checkpoint(file: Path) -> Checkpoint:
    """Read safetensors, or what `torch.save` wrote, without unpickling anything but tensors.

    Weights may lie at the top or under one of the usual names ("model", "state_dict", ...).

    Raises:
        UserError: there is no such file.
        DamagedData: it is damaged, holds objects that are no plain data, or no weights.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file; give the checkpoint to import")
    content = _read(file)
    weights = _weights(content)
    if not weights:
        found = f"no weights ({', '.join(map(str, list(content)[:5])) or 'nothing'})"
        expected = f"tensors by name, at the top or under {', '.join(NESTED)}"
        raise DamagedData(file, found, expected, "give the file that the network was saved in")
    return Checkpoint(weights, _claim(content))


def _read(file: Path) -> Mapping[Any, Any]:
    advice = "save the plain state_dict with its own code, or get the file again"
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        # Argument lists, which RepDistiller's code saves beside the weights, are plain data too,
        # and so are NumPy's numbers, as which many codes save accuracies.
        with torch.serialization.safe_globals([Namespace, *NUMBERS]):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DamagedData(file, f"no whole checkpoint ({reason})", "tensors", advice) from None
    except Exception as error:  # the restricted unpickler raises an UnpicklingError of its own
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        found = f"an object of {named[1]}" if named else "something that torch.save did not write"
        raise DamagedData(file, f"{found}, not loaded", "tensors and plain data", advice) from None
    return content if isinstance(content, Mapping) else {}


def _weights(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    for place in (content, *(content.get(name) for name in NESTED)):
        if isinstance(place, Mapping):
            tensors = {k: v for k, v in place.items() if isinstance(v, Tensor)}
            if any(tensor.dim() > 0 for tensor in tensors.values()):
                return {str(k).removeprefix("module."): v for k, v in tensors.items()}
    return {}


def _claim(content: Mapping[Any, Any]) -> float | None:
    for name in CLAIMS:
        value = content.get(name)
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1):
            return float(value) * (100 if value < 1 else 1)  # some codes save a share
    return None


def rename(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], rules: Rules | None
) -> tuple[dict[str, Tensor], Differences]:
    """Weights under our keys, and how they differ from what a network expects.

    Args:
        weights: tensors by foreign key.
        expected: the network's own `state_dict`; its tensors' values and devices are not used.
        rules: `[pattern, replacement]` pairs, the first full match counts, an empty replacement
            drops the key; None takes keys as they are.

    Returns:
        Renamed weights (batch norms' counters filled in where absent), and the differences.
    """
    renamed: dict[str, Tensor] = {}
    differences = Differences()
    for key, tensor in weights.items():
        own = key if rules is None else _renamed(key, rules)
        if own == "":
            continue
        if own is None or own not in expected or own in renamed:
            differences.unexpected.append(key)
            continue
        theirs, ours = tuple(tensor.shape), tuple(expected[own].shape)
        if theirs != ours:
            differences.shapes.append(f"{key} {theirs}, expected {ours} of {own}")
        renamed[own] = tensor
    for key in expected:
        if key not in renamed and key.endswith(COUNTER):
            renamed[key] = torch.tensor(0)
    differences.missing.extend(key for key in expected if key not in renamed)
    return renamed, differences


def _renamed(key: str, rules: Rules) -> str | None:
    for pattern, replacement in rules:
        match = re.fullmatch(pattern, key)
        if match:
            return match.expand(replacement)
    return None


def fit(
    file: Path,
    weights: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    names: Mapping[str, Rules],
    *,
    network: str,
    naming: str | None = None,
) -> tuple[str, dict[str, Tensor]]:
    """Find the naming under which weights fit a network whole.

    Args:
        file: for errors.
        weights: tensors by foreign key.
        expected: the network's own `state_dict`.
        names: rules by naming, as the network's declaration lists them.
        network: the network's name.
        naming: the only one to try; None tries all, our own first.

    Returns:
        The naming and the weights under our keys, in float32 but for integers.

    Raises:
        UnknownName: the declaration has no such naming.
        ForeignKeys: they fit under none.
        BadValue: a weight is not a finite number.
    """
    rules: dict[str, Rules | None] = {OWN: None, **names}
    if naming is not None and naming not in rules:
        raise UnknownName("naming", naming, list(rules), where=f"{network}, names")
    tried = list(rules) if naming is None else [naming]
    results = {name: rename(weights, expected, rules[name]) for name in tried}
    best = min(tried, key=lambda name: len(results[name][1]))
    renamed, differences = results[best]
    if len(differences):
        raise ForeignKeys(file, network, best, tried, differences)
    for key, tensor in renamed.items():
        if not torch.isfinite(tensor).all():
            raise BadValue(f"{file}, {key}", "a number that is not finite", "finite weights")
    return best, {
        key: tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in renamed.items()
    }
