"""`kdbench teacher import`: a checkpoint made elsewhere is fitted, checked, and kept or refused."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdbench.data.stored.maps import Mapped
from kdbench.data.stored.open import Stored
from kdbench.engine import environment
from kdbench.engine.precision import Precision
from kdbench.errors import BadValue, DamagedData, Diverged, UserError
from kdbench.evaluate.classification import accuracy, predict
from kdbench.exhibits.protocols import CONSTANTS, REVIEW
from kdbench.exhibits.recipe import Recipe
from kdbench.models.checkpoints import Checkpoint, ForeignKeys, fit, read_checkpoint
from kdbench.models.class_order import best_order, reordered
from kdbench.models.view import View
from kdbench.plan.components import Component, Components
from kdbench.runs import assemble
from kdbench.runs.export import TEXT, WEIGHTS, read_about
from kdbench.runs.imported import TEST_BATCH, Imported
from kdbench.runs.training import save_weights
from kdbench.store.atomic import write_text
from kdbench.store.canonical import canonical
from kdbench.store.disk import checksum_of
from kdbench.store.parts import Network
from kdbench.store.paths import Paths

PADDED = "-a"  # ends the names of ResNets with shortcuts without parameters


@dataclass(frozen=True)
class ExpectedAccuracy:
    """What a checkpoint should reach.

    Attributes:
        top1: accuracy in percent on the test set; None takes what the file states.
        tolerance: percentage points by which the measured accuracy may differ.
        constants: a name in `exhibits.protocols.CONSTANTS`, or "data" for the data set's own, to
            check with where the reading has none of its own.
    """

    top1: float | None
    tolerance: float
    constants: str = "review"


@dataclass(frozen=True)
class Reading:
    """How a file is read, where its keys and the protocol do not say.

    Attributes:
        naming: of the file's keys; None tries all that the declaration knows.
        part: place of the weights in the file; None looks everywhere.
        order: class names in the order of the file's outputs; None for ours.
        view: how the network looks at images; by default as every protocol does.
    """

    naming: str | None = None
    part: str | None = None
    order: Sequence[str] | None = None
    view: View = field(default_factory=View)

    def identity(self, checksum: str) -> str:
        """The teacher's identity: the file's own SHA-256 where the file says all."""
        own = {
            "part": self.part,
            "order": self.order and [*self.order],
            "view": self.view.as_dict(),
        }
        given = {key: value for key, value in own.items() if value}
        if not given:
            return checksum
        return sha256(canonical({"file": checksum, **given}).encode()).hexdigest()


@dataclass(frozen=True)
class Source:
    """A file to import, or a folder of `kdbench export`.

    Attributes:
        file: of the weights.
        about: what an export says of itself; empty for a file.
    """

    file: Path
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls, path: Path) -> "Source":
        """Look at what was given; what is in the file is not read.

        Raises:
            DamagedData: an export that cannot be read, or one of a pruned student.
        """
        if not (path / TEXT).is_file():
            return cls(path)
        about = read_about(path)
        if about.structure is not None:
            advice = "its network has no name of its own; use it with kdbench.load"
            raise DamagedData(path, "the export of a pruned student", "a whole network", advice)
        return cls(path / WEIGHTS, asdict(about))


def read_weights(
    source: Source, component: Component, components: Components, shape: Any, reading: Reading
) -> tuple[str, dict[str, Tensor], Checkpoint]:
    """The naming and the weights of a checkpoint under our keys, before any image is looked at.

    Args:
        source: what was given.
        component: the network that it should hold.
        components: others that it might hold instead.
        shape: classes and size of the images.
        reading: how it is read.

    Raises:
        ForeignKeys: the keys fit the network under no naming; the line names a network that fits.
        DamagedData, UserError: see `read_checkpoint`.
    """
    checkpoint = read_checkpoint(source.file)

    def fitted(one: Component) -> tuple[str, dict[str, Tensor]]:
        with torch.device("meta"):
            network = assemble.find_class(one)(
                **one.arguments, classes=len(shape.classes), image=reading.view.image(shape.image)
            )
        names: Mapping[str, Any] = one.described.get("names", {})
        expected = network.state_dict()
        return fit(
            source.file, checkpoint, expected, names,
            network=one.name, naming=reading.naming, part=reading.part,
        )  # fmt: skip

    try:
        return *fitted(component), checkpoint
    except ForeignKeys as error:
        other = component.name.removesuffix(PADDED)
        other = other if other != component.name else f"{component.name}{PADDED}"
        try:
            fitted(components.get("network", other, where="--network"))
        except UserError:
            raise error from None
        raise UserError(
            f"{source.file}: not the weights of {component.name}, but of {other}, whose shortcuts "
            f"{'have no parameters' if other.endswith(PADDED) else 'are convolutions'}; "
            f"give --network {other}"
        ) from None


def import_teacher(
    source: Source,
    component: Component,
    data: Stored,
    paths: Paths,
    expected: ExpectedAccuracy,
    *,
    components: Components,
    precision: Precision,
    reading: Reading | None = None,
    say: Callable[[str], None] = print,
) -> Imported:
    """Check a checkpoint against its claim and keep it as a teacher; or keep nothing.

    Args:
        source: what the authors' code saved, or an export.
        component: the network that it holds.
        data: the whole prepared data set.
        paths: the project's; the weights go to `paths.checkpoint(identity)`.
        expected: the accuracy to confirm, and how near.
        components: see `read_weights`.
        precision: number format and device of the check.
        reading: how it is read.
        say: prints one line.

    Raises:
        ForeignKeys: the keys fit the network under no naming.
        DamagedData: the file is damaged, or the network does not reach its claim.
        BadValue: there is no claim to check.
    """
    file, reading = source.file, reading or Reading()
    if isinstance(data, Mapped):
        advice = "those of other tasks are trained here"
        raise BadValue(str(file), f"a teacher for {data.task}", "one for classification", advice)
    used, weights, checkpoint = read_weights(source, component, components, data, reading)
    claimed = _claims(source, checkpoint, expected)
    if reading.order:
        weights = reordered(weights, reading.order, data.classes)
    say(f"{file}: the weights of {component.label}, named as by {used}; checking on the test set")
    check = _Check(file, component, data, precision, reading.view, weights)
    claim, top1 = check.confirm(claimed, expected)
    checksum = checksum_of(file)
    identity = reading.identity(checksum)
    target = paths.checkpoint(identity)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_weights(weights, target)
    imported = Imported(
        sha256=identity,
        file=file.name,
        dataset=data.name,
        network=component.name,
        naming=used,
        constants="its own" if reading.view.mean else expected.constants,
        claim=claim,
        top1=top1,
        images=len(data.labels("test")),
        weights=checksum_of(target),
        imported=environment.now(),
        source="" if identity == checksum else checksum,
        view=reading.view.as_dict(),
        order=[*reading.order] if reading.order else None,
        part=reading.part,
    )
    text = json.dumps(asdict(imported), indent=1) + "\n"
    write_text(target.with_suffix(".json"), text)
    return imported


def _claims(
    source: Source, checkpoint: Checkpoint, expected: ExpectedAccuracy
) -> Mapping[str, float]:
    """The accuracies to confirm, by who states them: one of them is enough."""
    if expected.top1 is not None:
        return {"--claim": expected.top1}
    stated = dict(checkpoint.claims)
    if source.about.get("top1") is not None:
        stated = {"top1": source.about["top1"]}
    if not stated:
        advice = "give --claim, the top-1 accuracy that its source states"
        raise BadValue(f"{source.file}, claim", None, "an accuracy in percent", advice)
    return stated


@dataclass(frozen=True)
class _Check:
    """The weights of a checkpoint on the test set."""

    file: Path
    component: Component
    data: Stored
    precision: Precision
    view: View
    weights: Mapping[str, Tensor]

    def confirm(
        self, claims: Mapping[str, float], expected: ExpectedAccuracy
    ) -> tuple[float, float]:
        """The claim that was reached, and the accuracy measured.

        Raises:
            DamagedData: no claim was reached; the line says what would reach one, if anything.
        """
        logits, labels = self._logits(expected.constants)
        top1 = accuracy(logits, labels)
        near = [c for c in claims.values() if abs(top1 - c) <= expected.tolerance]
        if near:
            return near[0], top1
        stated = " or ".join(f"{v:.2f} % ({name})" for name, v in claims.items())
        measured = f"top-1 {top1:.2f} % with {self._constants(expected.constants)}"
        interval = f"{stated.removesuffix(' (--claim)')} within {expected.tolerance:g}"
        advice = self._advice(claims, expected, top1, best_order(logits, labels))
        raise DamagedData(self.file, measured, interval, f"{advice}; nothing was kept")

    def _advice(
        self, claims: Mapping[str, float], expected: ExpectedAccuracy, top1: float, ordered: float
    ) -> str:
        if not self.view.mean:
            for name in (*CONSTANTS, "data"):
                if name == expected.constants:
                    continue
                other = accuracy(*self._logits(name))
                if any(abs(other - c) <= expected.tolerance for c in claims.values()):
                    return f"with the constants of {name} it is {other:.2f} %: --constants {name}"
        if ordered > top1 + 5 and ordered > max(claims.values()) - 5:
            order = self._known_order(claims, expected)
            return order or (
                f"with its classes in another order it would be {ordered:.2f} %: give --class-order"
            )
        smallest = min(abs(top1 - c) for c in claims.values())
        if smallest < 2 and "--claim" not in claims:
            return (
                "what a file calls best may be of another epoch than its weights: give --claim, "
                "or a --tolerance that covers it"
            )
        return (
            "check the network, the data set, the claim, --constants (or --mean, --std), --resize"
        )

    def _known_order(self, claims: Mapping[str, float], expected: ExpectedAccuracy) -> str:
        """What an order that the data set knows of would give, if that is the claim."""
        for name, order in known_orders(self.data).items():
            put_right = replace(self, weights=reordered(self.weights, order, self.data.classes))
            top1 = accuracy(*put_right._logits(expected.constants))
            if any(abs(top1 - c) <= expected.tolerance for c in claims.values()):
                return (
                    f"with the classes in the order of {name} it is {top1:.2f} %: "
                    f"--class-order {name}"
                )
        return ""

    def _constants(self, name: str) -> str:
        return "its own constants" if self.view.mean else f"the constants of {name}"

    def _logits(self, constants: str) -> tuple[Tensor, Tensor]:
        """(N, classes) logits and (N,) labels of the whole test set."""
        described = Network(
            name=self.component.name,
            module=self.component.module,
            class_name=self.component.class_name,
            parameters=self.component.arguments,
            label=self.component.label,
        )
        recipe = check_recipe(constants)
        network = assemble.make_viewing_network(
            described, self.data, 0, self.precision, view=self.view, recipe=recipe
        )
        network.load_state_dict(self.weights)
        loader = assemble.make_loader(self.data, "test", recipe, 0, self.precision, purpose="test")
        try:
            return predict(network, loader.in_order(TEST_BATCH), self.precision)
        except Diverged as error:
            advice = "check the file and the network; nothing was kept"
            raise DamagedData(
                self.file, str(error).partition(",")[0], "finite ones", advice
            ) from None


def known_orders(data: Stored) -> dict[str, list[str]]:
    """Orders of its classes that a data set was published with, by the file that has them."""
    meta = json.loads((data.folder / "meta.json").read_text(encoding="utf-8"))
    orders: dict[str, list[str]] = dict(meta.get("orders", {}))
    if meta.get("numbers"):
        orders["devkit"] = sorted(meta["numbers"], key=meta["numbers"].__getitem__)
    return {name: order for name, order in orders.items() if sorted(order) == sorted(data.classes)}


def check_recipe(constants: str) -> Recipe:
    """A recipe with a known set of constants, or with those of the data set ("data")."""
    mean, std = ((), ()) if constants == "data" else CONSTANTS[constants]
    return replace(REVIEW, mean=mean, std=std)


def check_precision() -> Precision:
    """How an import is checked: float32 on the device at hand."""
    from kdbench.engine.devices import choose_device

    device = choose_device()
    return Precision("float32", False, torch.device(device))
