"""How searches that close gates went, and how alike the students are that they found."""

from dataclasses import dataclass

from kdbench.report.readings.records import Record
from kdbench.report.readings.sweep import Budget, read_budget


@dataclass(frozen=True)
class Gates:
    """One search, as recorded.

    Attributes:
        budget: how it ended.
        lr: η of its gates.
        price: λ₂ of its gates.
        loss_to_penalty: median of |dl/dg| / (λ₂ α) over gates and steps; None where gates pay
            nothing.
        parameters: of the student, in millions.
        kept: by reader, the channels that it keeps, one bit each.
        widths: by reader, the channels that there were.
    """

    budget: Budget
    lr: float
    price: float
    loss_to_penalty: float | None
    parameters: float
    kept: dict[str, int]
    widths: dict[str, int]

    @property
    def share_kept(self) -> float:
        """Of all channels that were read."""
        return sum(bits.bit_count() for bits in self.kept.values()) / sum(self.widths.values())


def read_gates(record: Record) -> Gates:
    """A search that closed gates.

    Raises:
        DamagedData: the record lacks something.
    """
    place = "structure"
    pull = record.at(place, "loss_to_penalty")
    readers = list(record.at(place, "readers"))
    return Gates(
        budget=read_budget(record),
        lr=record.number(place, "pace", "lr"),
        price=record.number(place, "pace", "price"),
        loss_to_penalty=None if pull is None else record.number(place, "loss_to_penalty"),
        parameters=record.number(place, "after", "parameters") / 1e6,
        kept={reader: _bits(record, reader) for reader in readers},
        widths={r: int(record.number(place, "readers", r, "before")) for r in readers},
    )


def agreement(one: Gates, other: Gates) -> float:
    """Share of the channels that two searches in one network treat alike: both keep or remove.

    Raises:
        ValueError: they searched in different networks.
    """
    if one.widths != other.widths:
        raise ValueError("searches in different networks cannot be compared")
    differ = sum((one.kept[reader] ^ other.kept[reader]).bit_count() for reader in one.kept)
    return 1 - differ / sum(one.widths.values())


def agreement_by_chance(one: Gates, other: Gates) -> float:
    """What `agreement` would be if each kept as many channels, drawn without looking."""
    p, q = one.share_kept, other.share_kept
    return p * q + (1 - p) * (1 - q)


def _bits(record: Record, reader: str) -> int:
    """The channels that a reader keeps."""
    text = record.at("structure", "kept", reader)
    try:
        return int(text, 16)
    except (TypeError, ValueError):
        expected = "a hexadecimal number"
        raise record.damaged(("structure", "kept", reader), repr(text), expected) from None
