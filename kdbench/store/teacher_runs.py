"""Typed runs of the first phases: prepared data, and teachers trained or imported."""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from kdbench.exhibits.recipe import Recipe
from kdbench.store.parts import Code, Network, Runtime, StandIn
from kdbench.store.spec import RunSpec


def entry(part: Code | StandIn, identity: bool) -> dict[str, Any]:
    """A part as digests take it, or as records hold it."""
    return part.identity() if identity else part.as_dict()


@dataclass(frozen=True, kw_only=True)
class DataRun(RunSpec):
    """A prepared data set at a scale: a stand-in, a share of its training images, or the whole.

    Attributes:
        stand_in: what takes its place; None at scales with real images.
        train_share: share of the training images, of real ones.
        module: the path of the data set's code where it is a plug-in's, and real.
    """

    phase: ClassVar[str] = "data"
    stand_in: StandIn | None = None
    train_share: float = 1.0
    module: str = ""

    @property
    def upstream(self) -> dict[str, RunSpec]:
        """Nothing."""
        return {}

    @property
    def modules(self) -> list[str]:
        """The code of a plug-in."""
        module = self.stand_in.module if self.stand_in else self.module
        return [module] if module else []

    def _parameters(self, *, identity: bool) -> dict[str, Any]:
        if self.stand_in:
            return {"stand_in": entry(self.stand_in, identity)}
        plugin = {"name": self.dataset} | ({} if identity else {"module": self.module})
        return {"train_share": self.train_share} | ({"dataset": plugin} if self.module else {})


@dataclass(frozen=True, kw_only=True)
class ComputingRun(RunSpec):
    """A run that computes with networks.

    Attributes:
        data: the prepared data set.
        runtime: number format, memory format, threads.
    """

    data: DataRun
    runtime: Runtime


EFFICIENCY = 0.8  # declared share of several devices that a run is thought to use


def ranks_of(run: RunSpec) -> int:
    """How many processes a run is planned for."""
    return run.runtime.ranks if isinstance(run, ComputingRun) else 1


def synchronises(run: RunSpec) -> bool:
    """Whether norms see the whole batch, so that any number of processes may make the run."""
    return isinstance(run, ComputingRun) and run.runtime.synchronise_norms


def speed_up(run: RunSpec, efficiency: float = EFFICIENCY) -> float:
    """How much faster a run is thought to be on its ranks than in one process.

    Args:
        run: as planned.
        efficiency: share of the time that ranks compute, where there are several.
    """
    return max(1.0, efficiency * ranks_of(run)) if ranks_of(run) > 1 else 1.0


@dataclass(frozen=True, kw_only=True)
class _TeacherBase(ComputingRun):
    """What trained and imported teachers share.

    Attributes:
        network: the teacher.
        recipe: its protocol.
        tuning_holdout: none; a teacher is trained on all training images.
        structure: none; a teacher is not pruned.
    """

    phase: ClassVar[str] = "teacher"
    tuning_holdout: ClassVar[float] = 0.0
    structure: ClassVar[None] = None
    network: Network
    recipe: Recipe

    @property
    def trained(self) -> Network:
        """The network whose weights the run leaves."""
        return self.network

    @property
    def upstream(self) -> dict[str, RunSpec]:
        """The data set."""
        return {"data": self.data}

    @property
    def modules(self) -> list[str]:
        """The network's code."""
        return [*self.network.modules]

    @property
    def protocol(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    def _shared(self, identity: bool) -> dict[str, Any]:
        network = {"network": entry(self.network, identity), "recipe": self.recipe.as_dict()}
        return network | self.runtime.as_dict()


@dataclass(frozen=True, kw_only=True)
class TeacherRun(_TeacherBase):
    """A teacher, trained here.

    Attributes:
        seed: the run's one seed.
    """

    seed: int

    def _parameters(self, *, identity: bool) -> dict[str, Any]:
        return {**self._shared(identity), "seed": self.seed}


@dataclass(frozen=True, kw_only=True)
class ImportedTeacher(_TeacherBase):
    """A teacher trained elsewhere.

    Attributes:
        checkpoint: SHA-256 of the file that it came in: its identity.
    """

    checkpoint: str

    def _parameters(self, *, identity: bool) -> dict[str, Any]:
        return {**self._shared(identity), "checkpoint": self.checkpoint}


AnyTeacher: TypeAlias = TeacherRun | ImportedTeacher
