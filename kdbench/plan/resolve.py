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
from kdbench.plan.declarations import Distiller
from kdbench.plan.params import FILE, Params, SharedPhase
from kdbench.plan.ranks import ranks_of
from kdbench.plan.scales import Scale
from kdbench.store.parts import Method, Network, Runtime, SearchMethod

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

    def scale_on(self, dataset: str) -> Scale:
        """The scale in force on a data set, which may declare settings of lite of its own."""
        if self.scale.name != "lite":
            return self.scale
        declared = self.get("dataset", dataset).described.get("lite", {})
        stated = self.params.scales.get("lite", {})
        return replace(self.scale, **{k: v for k, v in declared.items() if k not in stated})

    def get(self, kind: str, name: str) -> Component:
        """A component that an exhibit names."""
        return self.components.get(kind, name, where="exhibits")

    def network_on(self, dataset: str, name: str) -> Component:
        """The network of that name on a data set; at a scale of stand-ins what plays its part."""
        if self.scale.stand_in:
            small = self.get("dataset", dataset).described.get("smoke_networks", {})
            name = small.get(name, name)
        return self.get("network", name)

    def network(self, component: Component, pruned_by: str = "") -> Network:
        """A network of a run specification."""
        encoders = {} if self.scale.stand_in else self.params.encoders
        return Network(
            **_code(component, component.arguments),
            label=component.label,
            pruned_by=pruned_by,
            encoder=encoders.get(component.name, ""),
        )

    def method(self, component: Component, pair: str, exhibit: Parameters) -> tuple[Method, str]:
        """A method of a run specification, and how the cell's name tells it from the declared one.

        Args, Raises: see `_settings`.
        """
        settings, spelled = self._settings(component, pair, exhibit)
        mode = settings.pop("teacher_bn", component.teacher_bn)
        return Method(**_code(component, settings), teacher_mode=mode), spelled

    def search(
        self, component: Component, pair: str, exhibit: Parameters
    ) -> tuple[SearchMethod, str]:
        """A search of a run specification, and how the cell's name tells it from the declared one.

        Args, Raises: see `_settings`.
        """
        settings, spelled = self._settings(component, pair, exhibit)
        mode = settings.pop("teacher_bn", component.teacher_bn)
        start = component.start or ""
        return SearchMethod(**_code(component, settings), teacher_mode=mode, start=start), spelled

    def _settings(
        self, component: Component, pair: str, exhibit: Parameters
    ) -> tuple[dict[str, Any], str]:
        """Parameters of a method or search, with `teacher_bn` where params.yaml sets it.

        Args:
            component: what is meant.
            pair: `teacher:student`.
            exhibit: parameters that the exhibit sets, over params.yaml: they make the row what it
                is.

        Returns:
            The parameters, and those that the exhibit sets to other values than declared, as the
            cell's name spells them.

        Raises:
            UnknownName, BadValue: a parameter that does not exist or does not fit.
        """
        key = OVERRIDES[component.kind]
        overrides = getattr(self.params, key).get(component.name, {})
        place = {"scale": self.scale.name, "pair": pair}
        declared = component.parameters(**place, overrides=overrides, where=f"{FILE}, {key}")
        if not exhibit:
            return _recorded(component, declared), ""
        # Requests are hashed, so their lists are tuples.
        lists = {k: list(v) if isinstance(v, tuple) else v for k, v in exhibit}
        both = {**overrides, **lists}
        settings = component.parameters(**place, overrides=both, where="exhibits")
        # Not with params.yaml's: a record keeps its name when a tuned value is written there.
        plain = component.parameters(**place, overrides={}, where=key)
        changed = sorted(k for k, _ in exhibit if settings[k] != plain.get(k))
        spelled = "".join(f"-{k}-{_spelled(settings[k])}" for k in changed)
        return _recorded(component, settings), spelled

    def recipe(
        self, recipe: Recipe, dataset: str, network: Component, epochs: int | None
    ) -> Recipe:
        """A protocol at this scale, for a data set and a network."""
        scale = self.scale_on(dataset)
        recipe, batch = recipe.shortened(epochs), scale.batch
        if network.family in LIGHT_FAMILIES:
            recipe = replace(recipe, lr=LIGHT_LR.get(recipe.name, recipe.lr))
        if scale.stand_in:
            smoke = smoke_section(self.get("dataset", dataset))
            batch = smoke.get("batch", batch)
            modality = smoke.get("modality", recipe.modality)
            recipe = replace(
                recipe, augment=smoke["augment"], mean=(), std=(), view="", modality=modality
            )
        return replace(
            recipe,
            batch=batch or recipe.batch,
            lr=recipe.lr * scale.lr_factor,
            steps_per_epoch=scale.steps_per_epoch or recipe.steps_per_epoch,
            evaluate_every=scale.evaluate_every,
        )

    def search_recipe(
        self, search: Component, recipe: Recipe, dataset: str, network: Component
    ) -> Recipe:
        """The protocol of a search at this scale; without milestones where it declares that."""
        epochs = self.scale_on(dataset).search_epochs
        recipe = self.recipe(recipe, dataset, network, epochs)
        if search.constant_rate and recipe.milestones:
            name = f"{recipe.name}, constant rate"
            return replace(recipe, name=name, milestones=())
        return recipe

    def ranks(self, phase: SharedPhase, dataset: str, trained: str) -> int:
        """The processes of a run, see `ranks_of`."""
        return ranks_of(self.params, self.scale, phase, dataset, trained)

    def runtime(self, dataset: str, ranks: int, *, foldable: bool = False) -> Runtime:
        """What changes bits besides: number format, memory format, CPU threads, folded norms.

        Args:
            dataset: of the run.
            ranks: processes that share it.
            foldable: whether the run has a teacher whose norms can be folded.
        """
        scale = self.scale
        encoded = self.get("dataset", dataset).described.get("encoded") and not scale.stand_in
        return Runtime(
            precision=scale.precision,
            channels_last=scale.channels_last,
            threads=scale.threads,
            fold_teacher=foldable and scale.fold_teacher,
            images_at_once=scale.images_at_once,
            decode=scale.decode if encoded else "cpu",
            ranks=ranks,
            synchronise_norms=scale.synchronise_norms,
        )

    def lone_runtime(self, dataset: str) -> Runtime:
        """The same of a run that one process does: one that only measures."""
        return replace(self.runtime(dataset, 1), synchronise_norms=False)

    def teacher_runtime(self, dataset: str, network: str) -> Runtime:
        """The same of a teacher's training, which may have threads of its own."""
        runtime = self.runtime(dataset, self.ranks("teacher", dataset, network))
        return replace(runtime, threads=self.scale_on(dataset).teacher_threads or runtime.threads)

    def student_runtime(
        self, dataset: str, trained: str, asked: int | None, *, foldable: bool
    ) -> Runtime:
        """The same of a student; an exhibit that asks for ranks has their norms synchronised."""
        ranks = asked or self.ranks("student", dataset, trained)
        runtime = self.runtime(dataset, ranks, foldable=foldable)
        return runtime if asked is None else replace(runtime, synchronise_norms=asked > 1)

    def other_ranks(self, dataset: str, trained: str, asked: int | None) -> int:
        """The ranks of a student that an exhibit sets where they are not the usual ones; else 0."""
        return 0 if asked in (None, self.ranks("student", dataset, trained)) else asked or 0

    def search_runtime(self, dataset: str, pair: str) -> Runtime:
        """The same of a search: whole batches, and no float16, which its differences would lose."""
        runtime = self.runtime(dataset, self.ranks("search", dataset, pair))
        runtime = replace(runtime, images_at_once=None)
        return replace(runtime, precision="float32") if runtime.precision == "fp16" else runtime

    def seeds(self, asked: int, *, lead: bool = False, least: int = 1) -> int:
        """Student runs of a cell: params.yaml's, the scale's, or the exhibit's own number."""
        if self.params.seeds is not None:
            return self.params.seeds
        if self.scale.lead_seeds is not None and lead:
            return max(least, self.scale.lead_seeds)
        return max(least, self.scale.seeds or asked)


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


def plugin_module(component: Component) -> str:
    """The path of a plug-in's code; "" for the package's own, which is found by name."""
    return component.module if component.plugin else ""


def _recorded(component: Component, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a run: without those that came later and have their default."""
    declared = component.declaration
    later: Mapping[str, Any] = {}
    if isinstance(declared, Distiller):
        later = {key: declared.defaults[key] for key in declared.later}
    return {k: v for k, v in settings.items() if k not in later or v != later[k]}


def _code(component: Component, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": component.name,
        "module": component.module,
        "class_name": component.class_name,
        "parameters": dict(parameters),
    }


def _spelled(value: Any) -> str:
    """A parameter's value in a file name."""
    text = "+".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"[^A-Za-z0-9.+]+", "-", text).strip("-").lower()
