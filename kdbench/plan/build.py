"""From an exhibit's cell to run specifications, with every parameter resolved."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from kdbench.errors import BadValue
from kdbench.plan.components import Component, Components
from kdbench.plan.exhibits import Pair, ProcessFigure, Row, Table
from kdbench.plan.params import FILE, Params
from kdbench.plan.recipe import LIGHT_FAMILIES, LIGHT_LR, Recipe
from kdbench.plan.spec import ENGINE_REVISION, RunSpec

TEACHER_SEED = 0
SEARCH_SEED = 0
FIRST_STUDENT_SEED = 0
P = ParamSpec("P")
Request = Callable[Concatenate["Builder", P], RunSpec]


def remembered(build: Request[P]) -> Request[P]:
    """Build a run at the first request; thousands of students ask for the same few teachers."""

    @wraps(build)
    def ask(builder: "Builder", /, *request: P.args, **named: P.kwargs) -> RunSpec:
        key = (build.__name__, *request, *named.values())
        if key not in builder.built:
            builder.built[key] = build(builder, *request, **named)
        return builder.built[key]

    return ask


@dataclass
class Builder:
    """Builds and remembers the runs of one plan; equal requests give the same object."""

    params: Params
    components: Components
    built: dict[Any, RunSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scale = self.params.settings()

    def evaluation(self, table: Table, pair: Pair, row: Row) -> RunSpec:
        """The run that measures one cell of a table, over all its seeds."""
        if row.role == "teacher":
            return self._evaluation(self.teacher(table.dataset, pair.teacher, table.recipe))
        seeds = range(FIRST_STUDENT_SEED, FIRST_STUDENT_SEED + self._seeds(table, pair))
        return self._evaluation(*self._students(table, pair, str(row.method), seeds))

    @remembered
    def data(self, dataset: str) -> RunSpec:
        """The prepared data set at this scale: a stand-in, a share, or the whole."""
        component = self._get("dataset", dataset)
        revisions = {dataset: component.revision}
        if self.scale.stand_in:
            smoke = _smoke(component)
            stand_in = self._get("dataset", smoke["stand_in"])
            revisions[stand_in.name] = stand_in.revision
            params: dict[str, Any] = {"stand_in": {**smoke, **_plugin_code(stand_in)}}
        else:
            params = {"train_share": self.scale.train_share}
            if component.plugin:
                params["dataset"] = {"name": dataset, **_plugin_code(component)}
        return self._run("data", dataset, dataset, params, revisions, {})

    @remembered
    def teacher(self, dataset: str, network: str, recipe: Recipe) -> RunSpec:
        """One teacher, shared by every cell of the same data set, network and protocol.

        Trained, or imported where params.yaml names a checkpoint: of stand-ins it knows nothing.
        """
        component = self._get("network", network)
        params = {
            "network": self._network(component),
            "recipe": self._recipe(recipe, dataset, component, self.scale.teacher_epochs),
            **self._runtime(),
        }
        checkpoint = self.params.teachers.get(f"{dataset}/{network}")
        if checkpoint and not self.scale.stand_in:
            params["checkpoint"] = checkpoint
        else:
            params["seed"] = TEACHER_SEED
        upstream = {"data": self.data(dataset)}
        revisions = {network: component.revision}
        return self._run("teacher", dataset, network, params, revisions, upstream)

    @remembered
    def search(self, exhibit: Table | ProcessFigure, pair: Pair, name: str) -> RunSpec:
        """One search a pair."""
        component = self._get("search", name)
        networks = self._pair(pair)
        settings = component.parameters(
            scale=self.scale.name,
            pair=pair.key,
            overrides=self.params.searches.get(name, {}),
            where=f"{FILE}, searches",
        )
        student = networks["student"]
        recipe = exhibit.search_recipe
        if recipe is None:
            raise BadValue(f"{exhibit.id}, search_recipe", None, f"a protocol for {name}")
        params = {
            **{role: self._network(network) for role, network in networks.items()},
            "search": self._component(component, settings),
            "recipe": self._recipe(recipe, exhibit.dataset, student, self.scale.search_epochs),
            "seed": SEARCH_SEED,
            **self._runtime(),
        }
        upstream = {
            "data": self.data(exhibit.dataset),
            "teacher": self.teacher(exhibit.dataset, pair.teacher, exhibit.recipe),
        }
        revisions = {name: component.revision, **_revisions(networks)}
        cell = f"{pair.teacher}_{pair.student}_{name}"
        return self._run("search", exhibit.dataset, cell, params, revisions, upstream)

    def _students(
        self, table: Table, pair: Pair, name: str, seeds: Iterable[int]
    ) -> Iterable[RunSpec]:
        """The student runs of a cell, which differ in nothing but the seed."""
        method = self._get("method", name)
        networks = (
            self._pair(pair) if method.needs_teacher else {"student": self._pair(pair)["student"]}
        )
        settings = method.parameters(
            scale=self.scale.name,
            pair=pair.key,
            overrides=self.params.methods.get(name, {}),
            where=f"{FILE}, methods",
        )
        recipe = self._recipe(
            table.recipe, table.dataset, networks["student"], self.scale.student_epochs
        )
        params = {
            **{role: self._network(network) for role, network in networks.items()},
            "method": self._component(method, settings),
            "recipe": recipe,
            **self._runtime(),
        }
        upstream = {"data": self.data(table.dataset)}
        if method.needs_teacher:
            upstream["teacher"] = self.teacher(table.dataset, pair.teacher, table.recipe)
        if method.search:
            upstream["search"] = self.search(table, pair, method.search)
        prefix = f"{pair.teacher}_" if method.needs_teacher else ""
        revisions = {name: method.revision, **_revisions(networks)}
        for seed in seeds:
            cell, seeded = f"{prefix}{pair.student}_{name}_s{seed}", {**params, "seed": seed}
            yield self._run("student", table.dataset, cell, seeded, revisions, upstream)

    def _evaluation(self, *runs: RunSpec) -> RunSpec:
        upstream = {f"run{i}": run for i, run in enumerate(runs)}
        upstream["data"] = runs[0].upstream["data"]
        cell = runs[0].cell if runs[0].phase == "teacher" else runs[0].cell.rpartition("_s")[0]
        params = {"runs": len(runs), **self._runtime()}
        return self._run("evaluation", runs[0].dataset, cell, params, {}, upstream)

    def _run(
        self,
        phase: str,
        dataset: str,
        cell: str,
        params: Mapping[str, Any],
        revisions: Mapping[str, Any],
        upstream: Mapping[str, RunSpec],
    ) -> RunSpec:
        spec = RunSpec(
            scale=self.scale.name,
            phase=phase,
            dataset=dataset,
            cell=cell,
            params=params,
            revisions={"engine": ENGINE_REVISION, **revisions},
            upstream=upstream,
        )
        return self.built.setdefault(spec.digest, spec)

    def _get(self, kind: str, name: str) -> Component:
        return self.components.get(kind, name, where="exhibits")

    def _pair(self, pair: Pair) -> dict[str, Component]:
        return {
            "teacher": self._get("network", pair.teacher),
            "student": self._get("network", pair.student),
        }

    def _network(self, component: Component) -> dict[str, Any]:
        return {**self._component(component, component.arguments), "label": component.label}

    @staticmethod
    def _component(component: Component, parameters: Mapping[str, Any]) -> dict[str, Any]:
        rest = dict(parameters)
        named: dict[str, Any] = {
            "name": component.name,
            "module": component.module,
            "class": component.class_name,
            "parameters": rest,
        }
        if component.kind in ("method", "search"):
            named["teacher_bn"] = rest.pop("teacher_bn", component.teacher_bn)
        return named

    def _runtime(self) -> dict[str, Any]:
        return {
            "precision": self.scale.precision,
            "channels_last": self.scale.channels_last,
            "threads": self.scale.threads,
        }

    def _seeds(self, table: Table, pair: Pair) -> int:
        if self.params.seeds is not None:
            return self.params.seeds
        if self.scale.lead_seeds is not None and pair == table.pairs[0]:
            return self.scale.lead_seeds
        return self.scale.seeds or table.seeds

    def _recipe(
        self, recipe: Recipe, dataset: str, network: Component, epochs: int | None
    ) -> dict[str, Any]:
        scale = self.scale
        recipe = recipe.shortened(epochs)
        if network.family in LIGHT_FAMILIES:
            recipe = replace(recipe, lr=LIGHT_LR.get(recipe.name, recipe.lr))
        if scale.stand_in:
            augment = _smoke(self._get("dataset", dataset))["augment"]
            recipe = replace(recipe, augment=augment, mean=(), std=())
        return replace(
            recipe,
            batch=scale.batch or recipe.batch,
            lr=recipe.lr * scale.lr_factor,
            steps_per_epoch=scale.steps_per_epoch or recipe.steps_per_epoch,
            evaluate_every=scale.evaluate_every,
        ).as_dict()


def _revisions(networks: Mapping[str, Component]) -> dict[str, Any]:
    return {component.name: component.revision for component in networks.values()}


def _smoke(dataset: Component) -> dict[str, Any]:
    """What a data set's declaration says of the scale that has stand-ins."""
    smoke = dataset.declaration.get("smoke", {})
    if not {"stand_in", "augment"} <= set(smoke):
        expected = "a section with stand_in and augment, or a scale with the data set itself"
        raise BadValue(f"{dataset.name}.toml, smoke", smoke, expected)
    return dict(smoke)


def _plugin_code(component: Component) -> dict[str, str]:
    """Where a plug-in's code lies; the package's own is found by name."""
    return {"module": component.module} if component.plugin else {}
