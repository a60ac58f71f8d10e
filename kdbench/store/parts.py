"""The typed parts of a run specification: networks, methods, searches, number formats.

Each part's `as_dict` is what records hold. Its `identity` is what the digest is made of: where code
lies, the class that holds it and a printed label change no number, so they are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

EACH = "each"  # teacher mode of a sum whose parts have different ones


@dataclass(frozen=True, kw_only=True)
class Code:
    """A component that a run uses: by name, with the parameters of its class.

    Attributes:
        name: as params.yaml and the exhibits write it.
        module: a dotted name, or the path of a plug-in's .py file.
        class_name: the class in that module.
        parameters: its keyword arguments, JSON values.
    """

    name: str
    module: str
    class_name: str
    parameters: Mapping[str, Any]

    def identity(self) -> dict[str, Any]:
        """What may change a number."""
        return {"name": self.name, "parameters": dict(self.parameters)}

    def as_dict(self) -> dict[str, Any]:
        """JSON form, with the place of the code."""
        return {**self.identity(), "module": self.module, "class": self.class_name}

    @property
    def modules(self) -> Iterator[str]:
        """Where the code lies that this component runs."""
        yield self.module


@dataclass(frozen=True, kw_only=True)
class Network(Code):
    """A network of a run.

    Attributes:
        label: printed name.
        pruned_by: the search that pruned it; "" for the network as declared.
        encoder: SHA-256 of the file whose weights its encoder starts from; "" for fresh ones.
    """

    label: str
    pruned_by: str = ""
    encoder: str = ""

    def identity(self) -> dict[str, Any]:
        """Name, arguments, the search that pruned it, and what its encoder starts from."""
        pruned = {"found_by": self.pruned_by} if self.pruned_by else {}
        encoder = {"encoder": self.encoder} if self.encoder else {}
        return {**super().identity(), **pruned, **encoder}

    def as_dict(self) -> dict[str, Any]:
        """JSON form, with the place of the code and the label."""
        return {**super().as_dict(), "label": self.label}


@dataclass(frozen=True, kw_only=True)
class Method(Code):
    """A distillation method of a run, or several whose losses are added.

    Attributes:
        teacher_mode: the teacher's batch norm, "eval" for running statistics or "batch" for each
            batch's own; `EACH` for a sum of parts that differ in it.
        parts: the methods whose losses are added; empty for a method that stands alone.
    """

    teacher_mode: str
    parts: tuple["Method", ...] = ()

    @property
    def losses(self) -> tuple["Method", ...]:
        """The methods whose losses the run adds: the parts, or this one alone."""
        return self.parts or (self,)

    @property
    def modules(self) -> Iterator[str]:
        """Where the code lies, that of the parts too."""
        yield self.module
        for part in self.parts:
            yield from part.modules

    def identity(self) -> dict[str, Any]:
        """Name, parameters, the teacher's mode, and the same of every part."""
        parts = {"parts": [part.identity() for part in self.parts]} if self.parts else {}
        return {**super().identity(), "teacher_bn": self.teacher_mode, **parts}

    def as_dict(self) -> dict[str, Any]:
        """JSON form, with the place of the code."""
        parts = {"parts": [part.as_dict() for part in self.parts]} if self.parts else {}
        return {**super().as_dict(), **parts}


@dataclass(frozen=True, kw_only=True)
class SearchMethod(Code):
    """A search of a run.

    Attributes:
        teacher_mode: the teacher's batch norm, as in `Method`.
        start: "teacher" where the student begins as a copy of the teacher; "" where not.
    """

    teacher_mode: str
    start: str = ""

    @property
    def validation_share(self) -> float:
        """Share of the training images that the search holds out; 0 where it declares none."""
        return float(self.parameters.get("held_out", 0.0))

    def identity(self) -> dict[str, Any]:
        """Name, parameters, the teacher's mode, and where the student starts."""
        start = {"start": self.start} if self.start else {}
        return {**super().identity(), "teacher_bn": self.teacher_mode, **start}


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What changes bits besides the arithmetic.

    Attributes:
        precision: number format of the forward passes, such as "float32", "tf32" or "bf16".
        channels_last: whether images and weights are NHWC in memory.
        threads: CPU threads of the process.
        fold_teacher: whether the teacher's norms are folded into its convolutions.
        images_at_once: images of a batch that are computed together, where the batch's gradients
            are added up from parts; None for all. Batch norms then see a part.
        decode: what decodes JPEGs in training and evaluation: "cpu", or "gpu", whose pixels differ.
        ranks: processes that train or search together, each on its part of every batch.
        synchronise_norms: whether batch norms see the images of all ranks, or of their own.
    """

    precision: str
    channels_last: bool
    threads: int
    fold_teacher: bool = False
    images_at_once: int | None = None
    decode: str = "cpu"
    ranks: int = 1
    synchronise_norms: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON form; keys that came later are left out at their defaults, as digests were made."""
        folded = {"fold_teacher": True} if self.fold_teacher else {}
        parts = {} if self.images_at_once is None else {"images_at_once": self.images_at_once}
        decode = {} if self.decode == "cpu" else {"decode": self.decode}
        several = {"ranks": self.ranks} if self.ranks > 1 else {}
        whole = {"synchronise_norms": True} if self.synchronise_norms and several else {}
        return {
            "precision": self.precision,
            "channels_last": self.channels_last,
            "threads": self.threads,
            **folded,
            **parts,
            **decode,
            **several,
            **whole,
        }


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What takes a data set's place at a scale of no real images.

    Attributes:
        settings: the data set's declared section `[smoke]`: the stand-in's name, the augmentation,
            and how the stand-in is split and relabelled.
        module: the path of its code where it is a plug-in's; "" for the package's own.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    module: str = ""

    @property
    def name(self) -> str:
        """The data set that stands in."""
        return str(self.settings["stand_in"])

    def identity(self) -> dict[str, Any]:
        """The settings."""
        return dict(self.settings)

    def as_dict(self) -> dict[str, Any]:
        """JSON form, with the place of a plug-in's code."""
        return {**self.settings, **({"module": self.module} if self.module else {})}
