"""Run specifications: everything that may change a run's numbers, and nothing else."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

PHASES = ("data", "teacher", "search", "student", "evaluation")

# Raised by hand when the arithmetic of the training loop, the optimiser's use, the augmentation
# or the evaluation changes; a rise makes every run a new one.
ENGINE_REVISION = 1

# The same for how a found student takes the channels that it reads; found students alone have it
# in their digests. 2: the memory format is kept, which rounds otherwise.
CARVING_REVISION = 2

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return ENCODER.encode(value)


def digest_of(value: Any) -> str:
    """First 12 hex digits of the SHA-256 of the canonical JSON."""
    return sha256(canonical(value).encode()).hexdigest()[:12]


def _nameless(value: Any) -> Any:
    """A component by its name and parameters: where its code lies and its label change nothing."""
    if not isinstance(value, Mapping) or "module" not in value:
        return value
    named = {k: v for k, v in value.items() if k not in ("module", "class", "label")}
    if "parts" in named:
        named["parts"] = [_nameless(part) for part in named["parts"]]
    return named


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run.

    Device, workers and folders are absent on purpose: none may change a result by more than
    rounding. Which ones were used is said in the record. CPU threads and precision are in
    `params`, because they do change bits.

    Attributes:
        scale, phase, dataset, cell: the place of the run; `cell` is a readable name.
        params: resolved parameters, JSON values only.
        revisions: revision of every component whose arithmetic the run uses.
        upstream: runs whose artifacts this one reads, by role ("data", "teacher", …).
    """

    scale: str
    phase: str
    dataset: str
    cell: str
    params: Mapping[str, Any]
    revisions: Mapping[str, Any]
    upstream: Mapping[str, "RunSpec"] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Name of the run's content: {parameters, upstream digests, revisions}."""
        return digest_of(
            {
                "phase": self.phase,
                "dataset": self.dataset,
                "params": {key: _nameless(value) for key, value in self.params.items()},
                "revisions": self.revisions,
                "upstream": {role: spec.digest for role, spec in self.upstream.items()},
            }
        )

    @property
    def name(self) -> str:
        """Readable and unique: `<cell>.<digest>`."""
        return f"{self.cell}.{self.digest}"

    @property
    def teacher_epoch(self) -> str:
        """At which epoch a run takes its teacher: "best", on the test set, or "last"; "" for none.

        That which the teacher's protocol reports. But a run that chooses parameters must not even
        look at the test set by way of its teacher: it takes the last.
        """
        if "teacher" not in self.upstream:
            return ""
        reported = self.upstream["teacher"].params["recipe"]["reported"]
        return "best" if reported == "best" and "held_out" not in self.params else "last"

    @property
    def title(self) -> str:
        """For logs and progress bars."""
        return f"{self.phase} {self.dataset} {self.cell}"

    def with_upstream(self) -> Iterator["RunSpec"]:
        """This run after all that it depends on, each once, dependencies first."""
        seen: set[str] = set()

        def visit(spec: RunSpec) -> Iterator[RunSpec]:
            if spec.digest in seen:
                return
            seen.add(spec.digest)
            for upstream in spec.upstream.values():
                yield from visit(upstream)
            yield spec

        yield from visit(self)

    def as_dict(self, *, nested: bool = False) -> dict[str, Any]:
        """JSON form: upstream runs by digest, or whole with `nested` (to carry a run elsewhere)."""
        upstream: dict[str, Any] = {
            role: spec.as_dict(nested=True) if nested else spec.digest
            for role, spec in self.upstream.items()
        }
        return {
            "scale": self.scale,
            "phase": self.phase,
            "dataset": self.dataset,
            "cell": self.cell,
            "digest": self.digest,
            "params": json.loads(canonical(self.params)),
            "revisions": json.loads(canonical(self.revisions)),
            "upstream": upstream,
        }

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> "RunSpec":
        """Inverse of `as_dict(nested=True)`."""
        upstream = {role: RunSpec.from_dict(spec) for role, spec in fields["upstream"].items()}
        rest = {key: value for key, value in fields.items() if key not in ("digest", "upstream")}
        return RunSpec(upstream=upstream, **rest)
