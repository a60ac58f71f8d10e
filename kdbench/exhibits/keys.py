"""Keys by which a figure or summary finds the runs that it reads.

A key carries its parts; `str` prints it, and nothing takes that text apart.
"""

from dataclasses import dataclass
from enum import Enum

from kdbench.exhibits.requests import Pair


class NetworkRole(Enum):
    """What a network is in its figure, where that says more than its name."""

    SEARCHED = "searched"
    TEACHER = "teacher"


@dataclass(frozen=True)
class SizeKey:
    """Students of one network, trained in one way on one data set.

    Attributes:
        dataset: as the figure prints it.
        network: a network's name, or its role.
        distilled: trained by a teacher; otherwise from scratch.
    """

    dataset: str
    network: str | NetworkRole
    distilled: bool

    def __str__(self) -> str:
        network = self.network.value if isinstance(self.network, NetworkRole) else self.network
        return f"{self.dataset}, {network}, {self.training}"

    @property
    def training(self) -> str:
        """How the students are trained: "distilled" or "scratch"."""
        return "distilled" if self.distilled else "scratch"


@dataclass(frozen=True)
class SweepKey:
    """A search with one value of the parameter that a figure varies, or what it pruned.

    Attributes:
        value: of the parameter.
        students: the students that the search pruned, not the search.
    """

    value: float
    students: bool = False

    def __str__(self) -> str:
        return f"{'students' if self.students else 'search'} at {self.value:g}"


@dataclass(frozen=True)
class SeedKey:
    """One seed of a search.

    Attributes:
        search: as the summary prints it.
        seed: of the search.
    """

    search: str
    seed: int

    def __str__(self) -> str:
        return f"{self.search}, seed {self.seed}"


@dataclass(frozen=True)
class SearchKey:
    """One of several searches in the same network.

    Attributes:
        group: what they have in common, as the summary prints it: a data set or a network.
        search: as the summary prints it.
    """

    group: str
    search: str

    def __str__(self) -> str:
        return f"{self.group}, {self.search}"


@dataclass(frozen=True)
class BudgetKey:
    """Students of one method, trained for a share of the protocol's epochs.

    Attributes:
        method: as the figure prints it.
        epochs: as published; a short scale takes the same share of its own.
    """

    method: str
    epochs: int

    def __str__(self) -> str:
        return f"{self.method}, {self.epochs} epochs"


RunKey = str | Pair | SizeKey | SweepKey | SeedKey | SearchKey | BudgetKey
