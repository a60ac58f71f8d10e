"""What `make chaos` has done so far: a file, so that it can be done in pieces."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kdbench.store.atomic import write_json
from kdbench.store.fingerprint import code_fingerprint

FILE = "tally.json"


@dataclass
class Round:
    """One project that was hit until it was finished.

    Attributes:
        number: of the round, by which its faults are drawn.
        hits: how often each fault was injected.
        losses: everything that was lost, a line each.
        remade: records that were written again.
        unlocked: how often Snakemake asked for --unlock.
        seconds: that it took.
    """

    number: int
    hits: dict[str, int]
    losses: list[str]
    remade: int
    unlocked: int
    seconds: float


@dataclass
class Tally:
    """All rounds of one seed under the same code.

    Attributes:
        seed: of all faults.
        code: fingerprint of the package and of the faults.
        undisturbed: seconds of the run without faults; None before it is finished.
        rounds: that came to their end, whatever was lost in them.
    """

    seed: int
    code: str
    undisturbed: float | None = None
    rounds: list[Round] = field(default_factory=list)

    @property
    def hits(self) -> Counter[str]:
        """Injected faults by name."""
        return sum((Counter(one.hits) for one in self.rounds), Counter[str]())

    @property
    def losses(self) -> list[str]:
        """Everything that was lost."""
        return [f"round {one.number}: {line}" for one in self.rounds for line in one.losses]

    @property
    def survived(self) -> int:
        """Faults of the rounds in which nothing was lost."""
        return sum(sum(one.hits.values()) for one in self.rounds if not one.losses)

    def line(self, faults: int) -> str:
        """The running tally.

        Args:
            faults: that are asked for.
        """
        injected = self.hits.total()
        seconds = sum(one.seconds for one in self.rounds)
        each = f", {seconds / injected:.0f} s per fault" if injected else ""
        return (
            f"{injected} of {faults} faults injected, {self.survived} survived, "
            f"{len(self.losses)} things lost, {sum(one.remade for one in self.rounds)} records "
            f"made again, Snakemake asked for --unlock "
            f"{sum(one.unlocked for one in self.rounds)} times{each}"
        )

    def save(self, folder: Path) -> None:
        """Write it whole."""
        write_json(folder / FILE, asdict(self))


def open_tally(folder: Path, seed: int, code: str) -> Tally:
    """What was done in a folder before; a new tally where nothing was.

    Raises:
        SystemExit: it was done with another seed, or of other code.
    """
    file = folder / FILE
    if not file.is_file():
        return Tally(seed, code)
    content = json.loads(file.read_text(encoding="utf-8"))
    if (content["seed"], content["code"]) != (seed, code):
        raise SystemExit(
            f"{file}: begun with seed {content['seed']} and code {content['code']}, not {seed} and "
            f"{code}: faults of both do not count together; delete {folder} to begin anew"
        )
    return Tally(**{**content, "rounds": [Round(**one) for one in content["rounds"]]})


def code_under_fire(package: Path, others: Iterable[Path]) -> str:
    """Fingerprint of all that runs: the package, and the faults themselves."""
    return code_fingerprint([*package.rglob("*.py"), *others])
