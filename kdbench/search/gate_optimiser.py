"""The optimiser of a search's gates: what each is charged, how they move, what they leave."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdbench.models.pruning.build import gated, layout_of
from kdbench.models.pruning.channel_layout import Plan
from kdbench.models.stages import StagedNetwork
from kdbench.search.gate_price import Pace, charges, pace, penalty_alone
from kdbench.search.proximal import accelerated_step, momenta


class GateOptimiser:
    """Gates on a network that descend a loss plus λ₂ Σ_j α_j |g_j|.

    Args:
        network: gets the gates, in place.
        weighted: see `charges`; `saving` too.
        budget: share of the operations at which the search is over.
        lambda_2: λ₂ of a search of `of_steps` steps; see `pace` for shorter ones.
        of_steps: length of the published search.
        resistance: see `pace`.
        gate_lr: η of that, constant.
        gate_momentum, mu: see `momenta`.
        nonnegative: see `accelerated_step`.

    Raises:
        UnknownName: there is no such momentum.
        UserError: networks of this family cannot be pruned.

    Source: Gu & Tresp, ECAI 2020, section 3.
    """

    def __init__(
        self,
        network: StagedNetwork,
        *,
        weighted: bool,
        saving: str,
        budget: float,
        lambda_2: float,
        of_steps: int,
        resistance: float,
        gate_lr: float,
        gate_momentum: str,
        mu: float,
        nonnegative: bool,
    ) -> None:
        momenta(gate_momentum, 1, mu)  # refuse an unknown one before anything is built
        self.layout = layout_of(network)
        self._whole = sum(self.layout.operations(self.layout.plan(self.layout.open())))
        alphas = charges(self.layout, weighted=weighted, saving=saving)
        self.alone = penalty_alone(self.layout, alphas, budget)
        self._gates = gated(network)
        self.values = self._gates.values
        self.leaves = list(self._gates.leaves.values())
        self.alphas = torch.from_numpy(alphas).to(self.values)
        self.velocity = torch.zeros_like(self.values)
        self._before = self._ahead = self.values
        self._momentum, self._mu = gate_momentum, mu
        self._published: dict[str, Any] = {
            "of_steps": of_steps,
            "lr": gate_lr,
            "price": lambda_2,
            "scheme": gate_momentum,
            "mu": mu,
            "last": self.alone.last,
            "resistance": resistance,
        }
        self._nonnegative = nonnegative
        self._paces: dict[int, Pace] = {}

    def move(self, gradients: Tensor, number: int, steps: int) -> None:
        """One step of all gates.

        Args:
            gradients: (n,) of the loss at the gates.
            number: of this step, 1 at the first.
            steps: of the whole search.
        """
        lr, price = self.pace(steps)
        self._before = self.values.clone()
        accelerated_step(
            self.values,
            gradients,
            self.velocity,
            lr=lr,
            strengths=price * self.alphas,
            factors=momenta(self._momentum, number, self._mu),
            nonnegative=False,
        )
        self._ahead = self.values.clone()
        if self._nonnegative:
            self.values.clamp_min_(0)

    def has_closed(self) -> bool:
        """Whether the last step closed a gate."""
        return bool(((self.values == 0) & (self._before != 0)).any())

    def stop_at(self, budget: float) -> None:
        """Take the last step only as far as it must go for what is left to fit a budget.

        Gates that are much alike, as all are whose price is far above their gradient, close in one
        step, and with them the whole network. On a straight line from where they stood to where the
        step led them (below 0, if they could) they close one by one; the line ends at the first
        point that fits.

        Args:
            budget: largest `share`, which the whole step is known to fit.
        """
        before, ahead = (part.double().cpu().numpy() for part in (self._before, self._ahead))
        closing = np.flatnonzero((before != 0) & (self.values == 0).cpu().numpy())
        times = np.abs(before[closing]) / np.abs(before[closing] - ahead[closing])
        order = np.lexsort((np.abs(before[closing]), times))
        low, high = 0, len(order)
        while low < high:  # the fewest closed gates that fit
            middle = (low + high) // 2
            gates = before.copy()
            gates[closing[order[:middle]]] = 0
            fits = self.share(self._plan(torch.from_numpy(gates))) <= budget
            low, high = (low, middle) if fits else (middle + 1, high)
        end = times[order[high - 1]] if high else 0.0
        closed, later = (torch.from_numpy(closing[order[part]]) for part in np.s_[:high, high:])
        point = self._before + end * (self._ahead - self._before)
        if self._nonnegative:
            point.clamp_min_(0)
        point[closed] = 0
        # Gates that reach 0 together would close together: the wider ones stay.
        point[later] = torch.where(point[later] == 0, self._before[later], point[later])
        self.values.copy_(point)

    def pace(self, steps: int) -> Pace:
        """η and λ₂ of a search of so many steps."""
        if steps not in self._paces:
            self._paces[steps] = pace(steps, **self._published)
        return self._paces[steps]

    def cost(self, steps: int) -> Tensor:
        """λ₂ Σ_j α_j |g_j|, scalar, with λ₂ as a search of so many steps takes it."""
        return self.pace(steps).price * (self.alphas * self.values.abs()).sum()

    def pull(self, gradients: Tensor, steps: int) -> Tensor:
        """Median of |∂loss/∂g| / (λ₂ α) over the open gates that pay, scalar.

        Above 1 the loss decides about most gates, far below it the penalty does.

        Args:
            gradients: (n,) of the loss at the gates.
            steps: of the whole search.
        """
        paying = (self.values != 0) & (self.alphas > 0)
        ratios = gradients.abs() / (self.pace(steps).price * self.alphas)
        return median_where(paying, ratios)

    def open_share(self) -> Tensor:
        """Share of the gates that are not 0, scalar."""
        return (self.values != 0).to(self.values.dtype).mean()

    def plan(self) -> Plan:
        """What the gates leave as they stand now."""
        return self._plan(self.values.cpu())

    def _plan(self, gates: Tensor) -> Plan:
        """What gates (n,) on the CPU would leave."""
        pieces = self._gates.by_reader(gates)
        return self.layout.plan({name: piece.numpy() for name, piece in pieces.items()})

    def share(self, plan: Plan) -> float:
        """Operations of a plan, elements of norms and ReLUs among them, of the whole network's."""
        return sum(self.layout.operations(plan)) / self._whole


def median_where(chosen: Tensor, values: Tensor) -> Tensor:
    """`values[chosen].median()`, to the bit, for which no GPU's queue must run empty.

    Args:
        chosen: (n,) bool.
        values: (n,).

    Returns:
        Scalar; not a number where nothing is chosen, or what is not a number.
    """
    count = chosen.sum()
    ordered = torch.where(chosen, values, torch.inf).sort().values
    median = ordered.gather(0, ((count - 1) // 2).clamp(min=0)[None])[0]
    unknown = (values.isnan() & chosen).any() | (count == 0)
    return median.masked_fill(unknown, torch.nan)
