"""What the gates of a search pay, and how fast a search of any length moves them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import UnknownName
from kdbench.models.pruning.channel_layout import Layout, Plan
from kdbench.search.proximal import travel

SAVINGS = ("with-maker", "reader")
PUBLISHED_PRICE = 1e-3  # λ₂ of Gu & Tresp
FASTEST = 30.0  # most that a short search multiplies the gates' rate by
MEETS_AT = 0.8  # share of a short search's steps after which the penalty alone meets the budget


class Pace(NamedTuple):
    """How a search of some length moves its gates.

    Attributes:
        lr: η.
        price: λ₂.
    """

    lr: float
    price: float


class PenaltyAlone(NamedTuple):
    """What the penalty would leave if the loss had no say: the dearest gates close first.

    Attributes:
        plan: the first that fits the budget; None where none does.
        last: α of the gate that closes last for it, above 0.
    """

    plan: Plan | None
    last: float


def charges(layout: Layout, *, weighted: bool, saving: str) -> NDArray[Any]:
    """α_j of all gates (n,) in the readers' order: F_j / max F, or 1.

    Args:
        layout: of the network.
        weighted: whether a gate pays in proportion to F, the operations that closing it saves.
        saving: whose operations F counts: "with-maker" is all that go when the gate closes,
            "reader" those of the layers that read through it; see `Layout.savings`.

    Raises:
        UnknownName: there is no such `saving`.
    """
    if saving not in SAVINGS:
        raise UnknownName("saving", saving, SAVINGS, where="search, saving")
    if not weighted:
        return np.concatenate(list(layout.open().values()))
    flat = np.concatenate(list(layout.savings(with_maker=saving == "with-maker").values()))
    return np.asarray(flat / flat.max())


def penalty_alone(layout: Layout, alphas: NDArray[Any], budget: float) -> PenaltyAlone:
    """Close gates in the order of α, the first of equal ones first, until a budget is met.

    Args:
        layout: of the network.
        alphas: (n,) as `charges` gives them.
        budget: largest share of the whole network's operations.
    """
    order = np.argsort(-alphas, kind="stable")
    order = order[alphas[order] > 0]
    whole = sum(layout.operations(layout.plan(layout.open())))
    ends = np.cumsum(list(layout.widths.values()))[:-1]

    def left(closed: int) -> Plan:
        gates = np.ones(len(alphas))
        gates[order[:closed]] = 0
        return layout.plan(dict(zip(layout.widths, np.split(gates, ends), strict=True)))

    def fits(plan: Plan) -> bool:
        return sum(layout.operations(plan)) <= budget * whole

    low, high = 1, len(order)
    if not fits(left(high)):
        return PenaltyAlone(None, float(alphas[order[-1]]))
    while low < high:  # the fewest closed gates that fit
        middle = (low + high) // 2
        low, high = (low, middle) if fits(left(middle)) else (middle + 1, high)
    return PenaltyAlone(left(high), float(alphas[order[high - 1]]))


def pace(
    steps: int,
    *,
    of_steps: int,
    lr: float,
    price: float,
    scheme: str,
    mu: float,
    last: float,
    resistance: float,
) -> Pace:
    """η and λ₂ of a search that is shorter than the published one.

    A gate's speed is η (λ₂ α + dl/dg) / (1 - μ). A larger η keeps loss against penalty, a larger
    λ₂ drowns the loss, but η has a limit. So a search that is k times shorter takes η times
    min(30, k). Only beyond that is λ₂ raised, and no more than it must be: to `resistance` times
    the price at which the penalty alone would meet the budget after 80 % of the steps.

    Args:
        steps: of this search.
        of_steps: of the published one.
        lr: η of that.
        price: λ₂ of that; prices other than the published 1e-3 are raised by the same factor.
        scheme: see `momenta`; `mu` too.
        mu: as above.
        last: α of the gate whose closing meets the budget, see `PenaltyAlone`.
        resistance: by how much more must be paid because the loss holds gates open.
    """
    shorter = of_steps / steps
    faster = min(FASTEST, shorter)
    if shorter <= FASTEST or not lr:
        return Pace(lr * faster, price)
    *_, distance = travel(scheme, mu, max(1, round(MEETS_AT * steps)))
    needed = resistance / (lr * faster * last * distance)
    return Pace(lr * faster, price * max(1.0, needed / PUBLISHED_PRICE))
