"""Checkpoints made elsewhere: read without running anything in them, renamed key by key."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kdbench.errors import BadValue, DamagedData, UnknownName, UserError
from kdbench.models.checkpoint_files import claims, read_content

Rules = Sequence[Sequence[str]]  # [pattern, replacement] pairs
OWN = "kdbench"  # the naming of our own weights: no rules
WRAPPERS = {"module", "_orig_mod"}  # what DataParallel and torch.compile put into keys
DEEPEST = 4  # mappings within mappings that are looked into
COUNTER = "num_batches_tracked"  # absent from checkpoints of old versions of torch
SHOWN = 5  # differing keys that the one line of an error names


class Nest(NamedTuple):
    """Tensors that lie together in a checkpoint.

    Attributes:
        place: where, such as "model" or "model.student"; empty for the top.
        tensors: by key, without what comes before in all keys.
    """

    place: str
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        nests: mappings with tensors, wherever they lie.
        claims: the accuracies in percent that the file states, by what it calls them.
    """

    nests: list[Nest]
    claims: Mapping[str, float] = field(default_factory=dict)

    def candidates(self, part: str | None = None) -> list[Nest]:
        """What may be a network: every nest, and parts of it whose keys begin alike.

        Args:
            part: a place; only what lies there.
        """
        listed = [candidate for nest in self.nests for candidate in _readings(nest)]
        if part is None:
            return listed
        return [c for c in listed if c.place == part or c.place.startswith(f"{part}.")]


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
        """Counts, and at most five keys of all kinds together, in one line."""
        kinds = ("missing", self.missing), ("unexpected", self.unexpected)
        named = [(word, keys) for word, keys in (*kinds, ("of another shape", self.shapes)) if keys]
        each = {1: [SHOWN], 2: [3, 2], 3: [2, 2, 1]}.get(len(named), [])
        return "; ".join(
            f"{len(keys)} {word} ({', '.join(keys[:most])}{', ...' if keys[most:] else ''})"
            for (word, keys), most in zip(named, each, strict=True)
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
        attempt: "Attempt",
        tried: Sequence[str],
    ) -> None:
        self.differences = attempt.differences
        place = f" in {attempt.place}" if attempt.place else ""
        super().__init__(
            f"{file}: not the weights of {network}; as {attempt.naming}{place} "
            f"(tried {', '.join(tried)}): {attempt.differences.summary()}; "
            "name the network, or the naming, that the file was made with"
        )


class Attempt(NamedTuple):
    """A nest read by a naming: the weights under our keys, and how they differ."""

    place: str
    naming: str
    size: int
    weights: dict[str, Tensor]
    differences: Differences

    @property
    def nearness(self) -> tuple[int, int, int]:
        """Larger where more of the network is there, then of the larger nest, with less besides."""
        return -len(self.differences.missing), self.size, -len(self.differences)


def read_checkpoint(file: Path) -> Checkpoint:
    """Read safetensors, or what `torch.save` wrote, without unpickling anything but tensors.

    Weights may lie anywhere: at the top, under "model" or "state_dict", or deeper.

    Raises:
        UserError: there is no such file.
        DamagedData: it is damaged, another kind of file, holds objects that are no plain data, or
            no weights.
    """
    content = read_content(file)
    nests = list(_nests(content, "", DEEPEST))
    if not nests:
        actual = f"no weights ({', '.join(map(str, list(content)[:SHOWN])) or 'nothing'})"
        expected = "tensors by name, at the top or within"
        raise DamagedData(file, actual, expected, "give the file that the network was saved in")
    return Checkpoint(nests, claims(content))


def _nests(content: Mapping[Any, Any], place: str, depth: int) -> Iterator[Nest]:
    """Every mapping with a tensor that is no mere number."""
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor) and not v.is_nested}
    if any(tensor.dim() > 0 for tensor in tensors.values()):
        yield Nest(place, tensors)
    for key, value in content.items():
        if depth and isinstance(key, str) and isinstance(value, Mapping):
            yield from _nests(value, f"{place}.{key}".lstrip("."), depth - 1)


def _readings(nest: Nest) -> Iterator[Nest]:
    """A nest as it is, without wrappers and what all keys begin with, and its parts likewise."""
    yield nest
    plain = {".".join(p for p in k.split(".") if p not in WRAPPERS): v for k, v in nest[1].items()}
    tensors = plain if len(plain) == len(nest.tensors) else nest.tensors
    while True:
        if tensors.keys() != nest.tensors.keys():
            yield Nest(nest.place, tensors)
        heads = {key.partition(".")[0] for key in tensors}
        if len(heads) != 1 or not all("." in key for key in tensors):
            break
        tensors = {key.partition(".")[2]: value for key, value in tensors.items()}
    for head in sorted(heads) if len(heads) > 1 else ():
        start = f"{head}."
        inside = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
        if inside:
            yield from _readings(Nest(f"{nest.place}.{head}".lstrip("."), inside))


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
    checkpoint: Checkpoint,
    expected: Mapping[str, Tensor],
    names: Mapping[str, Rules],
    *,
    network: str,
    naming: str | None = None,
    part: str | None = None,
) -> tuple[str, dict[str, Tensor]]:
    """Find the place and the naming under which weights fit a network whole.

    Args:
        file: for errors.
        checkpoint: what it holds.
        expected: the network's own `state_dict`.
        names: rules by naming, as the network's declaration lists them.
        network: the network's name.
        naming: the only one to try; None tries all, our own first.
        part: the place of the weights in the file; None looks everywhere.

    Returns:
        The naming and the weights under our keys, in float32 but for integers.

    Raises:
        UnknownName: the declaration has no such naming, or the file no such part.
        ForeignKeys: they fit under none.
        DamagedData: two networks that differ fit.
        BadValue: a weight is no finite real number.
    """
    rules: dict[str, Rules | None] = {OWN: None, **names}
    if naming is not None and naming not in rules:
        raise UnknownName("naming", naming, list(rules), where=f"{network}, names")
    candidates = checkpoint.candidates(part)
    if not candidates:
        places = {candidate.place for candidate in checkpoint.candidates()} - {""}
        raise UnknownName("part", str(part), places, where=str(file))
    tried = list(rules) if naming is None else [naming]
    attempts = [
        Attempt(place, name, len(tensors), *rename(tensors, expected, rules[name]))
        for name in tried
        for place, tensors in candidates
    ]
    best = max(attempts, key=lambda attempt: attempt.nearness)
    whole = [attempt for attempt in attempts if not len(attempt.differences)]
    if not whole:
        raise ForeignKeys(file, network, best, tried)
    _check_alone(file, whole)
    return whole[0].naming, _real(file, whole[0].weights)


def _check_alone(file: Path, whole: Sequence[Attempt]) -> None:
    """Refuse several networks that fit and differ.

    Raises:
        DamagedData: the line names their places.
    """
    first = whole[0].weights
    others = [
        attempt
        for attempt in whole[1:]
        if not all(attempt.weights[key] is tensor for key, tensor in first.items())
        and not all(torch.equal(attempt.weights[key], tensor) for key, tensor in first.items())
    ]
    if others:
        places = sorted({attempt.place for attempt in (whole[0], *others)})
        named = " and ".join(place or "the top" for place in places)
        advice = f"give --part with its place, such as --part {places[-1]}"
        raise DamagedData(file, f"networks that differ in {named}", "one that fits", advice)


def _real(file: Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float32, but for integers.

    Raises:
        BadValue: a tensor is of a kind that no weights are, or not finite.
    """
    real = {}
    for key, tensor in weights.items():
        kind = _unusual(tensor)
        if kind:
            raise BadValue(f"{file}, {key}", kind, "dense real numbers")
        real[key] = tensor.float() if tensor.is_floating_point() else tensor
        if not torch.isfinite(real[key]).all():
            raise BadValue(f"{file}, {key}", "a number that is not finite", "finite weights")
    return real


def _unusual(tensor: Tensor) -> str:
    """What keeps a tensor from being weights; nothing where it is a dense one of real numbers."""
    kinds = {
        "a tensor without data (of the meta device)": tensor.is_meta,
        "a sparse tensor": tensor.layout is not torch.strided,
        "complex numbers": tensor.is_complex(),
        "quantised numbers": tensor.is_quantized,
    }
    return next((kind for kind, applies in kinds.items() if applies), "")
