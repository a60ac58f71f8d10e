"""What a search finds: the weights of every pathway at every step of the search."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from kdbench.errors import BadValue, DamagedData
from kdbench.store.atomic import whole_file, write_text
from kdbench.store.record import thinned

TENSORS = "scheme.safetensors"
TEXT = "scheme.json"
FORMAT = 1  # raised when the files change
MOST_ROWS = 100  # of a process in a record; the files have all


@dataclass(frozen=True, eq=False)
class Scheme:
    """A process of T rows over n pathways, in the order in which a search made them.

    Attributes:
        weights: (T, n) float32 on the CPU, the normalised weights w.
        alphas: (T, n) float32 on the CPU, the free parameters a that they come from.
        names: the n pathways, such as "t1-s3-complex".
        metadata: plain values that JSON can hold: what was searched and how.

    Raises:
        BadValue: the shapes do not fit together, or a number is not finite.
    """

    weights: Tensor
    alphas: Tensor
    names: tuple[str, ...]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("weights", "alphas"):
            values = getattr(self, key).detach().to("cpu", torch.float32).contiguous()
            object.__setattr__(self, key, values)
            rows, columns = values.shape if values.ndim == 2 else (0, -1)
            if rows < 1 or columns != len(self.names):
                expected = f"(T, {len(self.names)}) with T >= 1, a column a pathway"
                raise BadValue(f"scheme, {key}", tuple(values.shape), expected)
            if not values.isfinite().all():
                raise BadValue(f"scheme, {key}", "nan or inf", "finite numbers", "search again")
        if self.weights.shape != self.alphas.shape:
            raise BadValue("scheme, alphas", len(self.alphas), f"{len(self.weights)} rows")
        object.__setattr__(self, "names", tuple(self.names))

    def __len__(self) -> int:
        return len(self.weights)

    def at(self, position: float) -> tuple[Tensor, Tensor]:
        """Weights and alphas, (n,) float64 each, at a position along the process.

        Args:
            position: 0 is the first row, 1 the last; linear in between, held beyond.
        """
        place = min(max(position, 0.0), 1.0) * (len(self) - 1)
        low = int(place)
        high, share = min(low + 1, len(self) - 1), place - low
        rows = (values[[low, high]].double() for values in (self.weights, self.alphas))
        weights, alphas = (pair[0] + share * (pair[1] - pair[0]) for pair in rows)
        return weights, alphas

    def expect(self, names: Sequence[str]) -> None:
        """Refuse to be used by a loss that has other pathways.

        Raises:
            BadValue: the names, or their order, differ.
        """
        if self.names == tuple(names):
            return
        differ = [name for name in self.names if name not in names][:1]
        own = f"{len(self.names)} pathways" + (f", among them {differ[0]}" if differ else "")
        expected = f"the {len(names)} pathways {names[0]} to {names[-1]}"
        advice = "give search and method the same connections, maps, transforms and stem"
        raise BadValue("scheme, names", own, expected, advice)

    def summary(self) -> dict[str, Any]:
        """What the search's record says of it: the process, at some of its steps."""
        listed = thinned(range(len(self)), MOST_ROWS)
        process = {
            "pathways": list(self.names),
            "steps": listed,
            "total_steps": len(self),
            "weights": _rounded(self.weights[listed]),
            "alphas": _rounded(self.alphas[listed]),
        }
        return {"process": process}

    def save(self, folder: Path) -> None:
        """Write `scheme.safetensors` and `scheme.json` into a folder, each whole or not at all.

        Args:
            folder: made where it does not exist.
        """
        tensors = {"weights": self.weights, "alphas": self.alphas}
        text = {"format": FORMAT, "names": list(self.names), "metadata": self.metadata}
        with whole_file(folder / TENSORS) as temporary:
            save_file(tensors, temporary)
        lines = json.dumps(text, indent=2, sort_keys=True, allow_nan=False) + "\n"
        write_text(folder / TEXT, lines)

    @classmethod
    def load(cls, folder: Path) -> "Scheme":
        """Read what `save` wrote.

        Raises:
            DamagedData: a file is missing, unreadable or not of this format.
            BadValue: see the class.
        """
        advice = "run the search again"
        try:
            tensors = load_file(folder / TENSORS)
            text = json.loads((folder / TEXT).read_text(encoding="utf-8"))
            if type(text["format"]) is not int or text["format"] != FORMAT:
                raise DamagedData(folder / TEXT, f"format {text['format']}", FORMAT, advice)
            fields = _fields(tensors, text)
        except FileNotFoundError as problem:
            raise DamagedData(folder, "no file", f"{TENSORS} and {TEXT}", advice) from problem
        except (
            SafetensorError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
        ) as problem:
            damage = f"unreadable content ({type(problem).__name__})"
            raise DamagedData(folder, damage, "a scheme", advice) from problem
        return cls(*fields)


def _fields(
    tensors: Mapping[str, Tensor], text: Mapping[str, Any]
) -> tuple[Tensor, Tensor, tuple[str, ...], dict[str, Any]]:
    """What the two files hold.

    Raises:
        TypeError, KeyError: something else than `Scheme.save` writes.
    """
    names, metadata = text["names"], text["metadata"]
    kinds = {tensors[key].dtype for key in ("weights", "alphas")}
    plain = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not plain or not isinstance(metadata, dict) or kinds != {torch.float32}:
        raise TypeError("another kind of value")
    return tensors["weights"], tensors["alphas"], tuple(names), metadata


def _rounded(table: Tensor) -> list[list[float]]:
    """Rows as plain numbers, with more digits than a figure shows; the scheme has all of them."""
    return [[float(f"{value:.5g}") for value in row] for row in table.tolist()]
