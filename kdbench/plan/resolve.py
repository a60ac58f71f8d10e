"""Names become parameters: declarations, the scale and params.yaml, in one place each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from kdbench.errors import BadValue
from kdbench.exhibits.protocols import LIGHT_FAMILIES, LIGHT_LR
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.requests import Parameters
from kdbench.plan.components import Component, Components
from kdbench.plan.params import FILE, Params
from kdbench.plan.scales import Scale

OVERRIDES = {"method": "methods", "search": "searches"}


@dataclass
class Resolver:
    """Resolves what runs are specified by.

    Attributes:
        params: what the user asked for.
        components: the declarations.
    """

    params: Params
    components: Components

    @cached_property
    def scale(self) -> Scale:
        """The scale in force."""
        return self.params.settings()

    def get(self, kind: str, name: str) -> Component:
        """A component that an exhibit names."""
        return self.components.get(kind, name, where="exhibits")

    def network(self, component: Component) -> dict[str, Any]:
        """A network of a run specification."""
        return {**_entry(component, component.arguments), "label": component.label}

    def distiller(
        self, component: Component, pair: str, own: Parameters
    ) -> tuple[dict[str, Any], str]:
        """A method or search of a run specification.

        Args:
            component: what is meant.
            pair: `teacher:student`.
            own: parameters that the exhibit sets, over params.yaml: they make the row what it is.

        Returns:
            The entry, and how the cell's name tells it from the same component as declared.

        Raises:
            UnknownName, BadValue: a parameter that does not exist or does not fit.
        """
        key = OVERRIDES[component.kind]
        overrides = getattr(self.params, key).get(component.name, {})
        place = {"scale": self.scale.name, "pair": pair}
        declared = component.parameters(**place, overrides=overrides, where=f"{FILE}, {key}")
        if not own:
            return _entry(component, declared), ""
        lists = {k: list(v) if isinstance(v, tuple) else v for k, v in own}  # asks are hashed
        both = {**overrides, **lists}
        settings = component.parameters(**place, overrides=both, where="exhibits")
        changed = sorted(k for k, _ in own if settings[k] != declared.get(k))
        told = "".join(f"-{k}-{_spelled(settings[k])}" for k in changed)
        return _entry(component, settings), told

    def recipe(
        self, recipe: Recipe, dataset: str, network: Component, epochs: int | None
    ) -> dict[str, Any]:
        """A protocol at this scale, for a data set and a network."""
        scale = self.scale
        recipe = recipe.shortened(epochs)
        if network.family in LIGHT_FAMILIES:
            recipe = replace(recipe, lr=LIGHT_LR.get(recipe.name, recipe.lr))
        if scale.stand_in:
            augment = smoke_section(self.get("dataset", dataset))["augment"]
            recipe = replace(recipe, augment=augment, mean=(), std=())
        return replace(
            recipe,
            batch=scale.batch or recipe.batch,
            lr=recipe.lr * scale.lr_factor,
            steps_per_epoch=scale.steps_per_epoch or recipe.steps_per_epoch,
            evaluate_every=scale.evaluate_every,
        ).as_dict()

    def runtime(self) -> dict[str, Any]:
        """What changes bits besides: number format, memory format, CPU threads."""
        return {
            "precision": self.scale.precision,
            "channels_last": self.scale.channels_last,
            "threads": self.scale.threads,
        }

    def seeds(self, asked: int, *, lead: bool = False, least: int = 1) -> int:
        """Student runs of a cell: params.yaml's, the scale's, or the exhibit's own number."""
        if self.params.seeds is not None:
            return self.params.seeds
        if self.scale.lead_seeds is not None and lead:
            return max(least, self.scale.lead_seeds)
        return max(least, self.scale.seeds or asked)


def revisions(networks: Mapping[str, Component]) -> dict[str, Any]:
    """Revision of every network, by name."""
    return {component.name: component.revision for component in networks.values()}


def smoke_section(dataset: Component) -> dict[str, Any]:
    """What a data set's declaration says of the scale that has stand-ins.

    Raises:
        BadValue: it says nothing, or too little.
    """
    smoke = dataset.described.get("smoke", {})
    if not {"stand_in", "augment"} <= set(smoke):
        expected = "a section with stand_in and augment, or a scale with the data set itself"
        raise BadValue(f"{dataset.name}.toml, smoke", smoke, expected)
    return dict(smoke)


def plugin_code(component: Component) -> dict[str, str]:
    """Where a plug-in's code lies; the package's own is found by name."""
    return {"module": component.module} if component.plugin else {}


def _entry(component: Component, parameters: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(parameters)
    named: dict[str, Any] = {
        "name": component.name,
        "module": component.module,
        "class": component.class_name,
        "parameters": rest,
    }
    if component.kind in OVERRIDES:
        named["teacher_bn"] = rest.pop("teacher_bn", component.teacher_bn)
    if component.start:
        named["start"] = component.start
    return named


def _spelled(value: Any) -> str:
    """A parameter's value in a file name."""
    text = "+".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"[^A-Za-z0-9.+]+", "-", text).strip("-").lower()
