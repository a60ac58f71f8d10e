"""From what an exhibit asks for to run specifications, with every parameter resolved."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec

from kdbench.errors import BadValue
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.requests import JOIN, Request, SearchRequest, StudentRequest, TeacherRequest
from kdbench.plan.components import Component, Components
from kdbench.plan.params import Params
from kdbench.plan.resolve import Resolver, plugin_code, revisions, smoke_section
from kdbench.store.spec import CARVING_REVISION, ENGINE_REVISION, RunSpec

TEACHER_SEED = 0
FIRST_STUDENT_SEED = 0
P = ParamSpec("P")
Build = Callable[Concatenate["Builder", P], RunSpec]


def remembered(build: Build[P]) -> Build[P]:
    """Build a run at the first request; thousands of students ask for the same few teachers."""

    @wraps(build)
    def ask(builder: "Builder", /, *request: P.args, **named: P.kwargs) -> RunSpec:
        key = (build.__name__, *request, *named.values())
        if key not in builder.built:
            builder.built[key] = build(builder, *request, **named)
        return builder.built[key]

    return ask


def _held(ask: SearchRequest | StudentRequest) -> str:
    """What the name of a run says of training images that it holds out."""
    return f"-held-out-{ask.tuning_holdout:g}" if ask.tuning_holdout else ""


@dataclass
class Builder:
    """Builds and remembers the runs of one plan; equal requests give the same object."""

    params: Params
    components: Components
    built: dict[Any, RunSpec] = field(default_factory=dict)

    @cached_property
    def resolve(self) -> Resolver:
        """Makes parameters of names."""
        return Resolver(self.params, self.components)

    def build(self, ask: Request) -> RunSpec:
        """The run that an exhibit reads: a search, or an evaluation over all seeds."""
        if isinstance(ask, SearchRequest):
            return self.search(ask)
        if isinstance(ask, TeacherRequest):
            return self._evaluation(self.teacher(ask.dataset, ask.network, ask.recipe))
        return self._evaluation(*self._students(ask))

    @remembered
    def data(self, dataset: str) -> RunSpec:
        """The prepared data set at this scale: a stand-in, a share, or the whole."""
        component = self.resolve.get("dataset", dataset)
        found = {dataset: component.revision}
        if self.resolve.scale.stand_in:
            smoke = smoke_section(component)
            stand_in = self.resolve.get("dataset", smoke["stand_in"])
            found[stand_in.name] = stand_in.revision
            params: dict[str, Any] = {"stand_in": {**smoke, **plugin_code(stand_in)}}
        else:
            params = {"train_share": self.resolve.scale.train_share}
            if component.plugin:
                params["dataset"] = {"name": dataset, **plugin_code(component)}
        return self._run("data", dataset, dataset, params, found, {})

    @remembered
    def teacher(self, dataset: str, network: str, recipe: Recipe) -> RunSpec:
        """One teacher, shared by every cell of the same data set, network and protocol.

        Trained, or imported where params.yaml names a checkpoint: of stand-ins it knows nothing.
        """
        component, scale = self.resolve.get("network", network), self.resolve.scale
        params = {
            "network": self.resolve.network(component),
            "recipe": self.resolve.recipe(recipe, dataset, component, scale.teacher_epochs),
            **self.resolve.runtime(),
        }
        checkpoint = self.params.teachers.get(f"{dataset}/{network}")
        if checkpoint and not scale.stand_in:
            params["checkpoint"] = checkpoint
        else:
            params["seed"] = TEACHER_SEED
        upstream = {"data": self.data(dataset)}
        return self._run(
            "teacher", dataset, network, params, {network: component.revision}, upstream
        )

    @remembered
    def search(self, ask: SearchRequest) -> RunSpec:
        """One search on one pair."""
        component = self.resolve.get("search", ask.search)
        networks = self._networks(ask)
        entry, told = self.resolve.distiller(component, ask.pair.key, ask.parameters)
        epochs = self.resolve.scale.search_epochs
        params = {
            **{role: self.resolve.network(network) for role, network in networks.items()},
            "search": entry,
            "recipe": self.resolve.recipe(
                ask.search_recipe, ask.dataset, networks["student"], epochs
            ),
            "seed": ask.seed,
            **self.resolve.runtime(),
        }
        upstream = {
            "data": self.data(ask.dataset),
            "teacher": self.teacher(ask.dataset, ask.pair.teacher, ask.recipe),
        }
        found = {ask.search: component.revision, **revisions(networks)}
        told += f"-seed{ask.seed}" if ask.seed else ""
        if ask.tuning_holdout:
            params["held_out"] = ask.tuning_holdout
            told += _held(ask)
        cell = f"{ask.pair.teacher}_{ask.pair.student}_{ask.search}{told}"
        return self._run("search", ask.dataset, cell, params, found, upstream)

    def _students(self, ask: StudentRequest) -> Iterator[RunSpec]:
        """The student runs of a cell, which differ in nothing but the seed."""
        parts = [self.resolve.get("method", name) for name in ask.method.split(JOIN)]
        needs_teacher = any(part.needs_teacher for part in parts)
        networks = self._networks(ask)
        if ask.pruned_by:
            networks["student"] = self.resolve.get("network", ask.pruned_by.pair.student)
        if not needs_teacher:
            networks = {"student": networks["student"]}
        entries, told = self._methods(ask, parts)
        params = {
            **{role: self.resolve.network(network) for role, network in networks.items()},
            "method": entries,
            "recipe": self.resolve.recipe(
                ask.recipe, ask.dataset, networks["student"], self.resolve.scale.student_epochs
            ),
            **self.resolve.runtime(),
        }
        upstream = {"data": self.data(ask.dataset)}
        if needs_teacher:
            upstream["teacher"] = self.teacher(ask.dataset, ask.pair.teacher, ask.recipe)
        if ask.tuning_holdout:
            params["held_out"] = ask.tuning_holdout
            told += _held(ask)
        student = networks["student"].name
        if ask.pruned_by:
            upstream["structure"] = self.search(
                replace(ask.pruned_by, tuning_holdout=ask.tuning_holdout)
            )
            params["student"]["found_by"] = ask.pruned_by.search
            student = upstream["structure"].cell.removeprefix(f"{student}_").replace(_held(ask), "")
        for role, part in self._searching(parts):
            upstream[role], place = self._scheme(ask, part)
            told += "" if place in told else place
        prefix = f"{ask.pair.teacher}_" if needs_teacher else ""
        found = {**{part.name: part.revision for part in parts}, **revisions(networks)}
        if ask.pruned_by:
            found["carving"] = CARVING_REVISION
        for seed in self._seeds(ask):
            cell = f"{prefix}{student}_{ask.method}{told}_s{seed}"
            seeded = {**params, "seed": seed}
            yield self._run("student", ask.dataset, cell, seeded, found, upstream)

    def _seeds(self, ask: StudentRequest) -> range:
        count = self.resolve.seeds(ask.seeds, lead=ask.lead, least=ask.least)
        return range(FIRST_STUDENT_SEED, FIRST_STUDENT_SEED + count)

    def _methods(self, ask: StudentRequest, parts: list[Component]) -> tuple[dict[str, Any], str]:
        """The entry of one method, or of several whose losses are added.

        The first one says how the teacher looks and what the cross-entropy weighs.
        """
        pair = ask.pair.key
        if len(parts) == 1:
            return self.resolve.distiller(parts[0], pair, ask.parameters)
        entries, told = zip(*(self.resolve.distiller(p, pair, ()) for p in parts), strict=True)
        joined = {
            "name": ask.method,
            "module": "kdbench.distill.joined",
            "class": "JoinedLosses",
            "parameters": {},
            "teacher_bn": entries[0]["teacher_bn"],  # one teacher, read once
            "parts": list(entries),
        }
        return joined, "".join(told)

    @staticmethod
    def _searching(parts: list[Component]) -> Iterator[tuple[str, Component]]:
        """Roles of the searches that methods need: "search", or one numbered for each part."""
        for place, part in enumerate(parts):
            if part.search:
                yield ("search" if len(parts) == 1 else f"search{place}"), part

    def _scheme(self, ask: StudentRequest, method: Component) -> tuple[RunSpec, str]:
        """The search whose scheme a method takes, and where that is if it is elsewhere."""
        if ask.search_recipe is None:
            raise BadValue(f"{method.name}, search_recipe", None, f"a protocol for {method.search}")
        own = SearchRequest(
            dataset=ask.dataset,
            pair=ask.pair,
            search=str(method.search),
            recipe=ask.recipe,
            search_recipe=ask.search_recipe,
            parameters=ask.search_parameters,
            tuning_holdout=ask.tuning_holdout,
        )
        if ask.origin is None:
            found = self.search(own)
            return found, found.cell.partition(f"_{own.search}")[2].replace(_held(ask), "")
        share = ask.tuning_holdout if ask.origin.dataset == ask.dataset else 0.0
        there = replace(ask.origin, search=own.search, tuning_holdout=share)
        found = self.search(there)
        place = "" if there.dataset == ask.dataset else f"-{there.dataset}"
        if there.pair != ask.pair:
            place += f"-{there.pair.teacher}-{there.pair.student}"
        told = found.cell.partition(f"_{own.search}")[2].replace(_held(ask), "")
        return found, told + (f"-from{place}" if place else "")

    def _evaluation(self, *runs: RunSpec) -> RunSpec:
        upstream = {f"run{i}": run for i, run in enumerate(runs)}
        upstream |= {
            role: runs[0].upstream[role]
            for role in ("data", "structure")
            if role in runs[0].upstream
        }
        cell = runs[0].cell if runs[0].phase == "teacher" else runs[0].cell.rpartition("_s")[0]
        params = {"runs": len(runs), **self.resolve.runtime()}
        if "held_out" in runs[0].params:
            params["held_out"] = runs[0].params["held_out"]
        return self._run("evaluation", runs[0].dataset, cell, params, {}, upstream)

    def _run(
        self,
        phase: str,
        dataset: str,
        cell: str,
        params: Mapping[str, Any],
        found: Mapping[str, Any],
        upstream: Mapping[str, RunSpec],
    ) -> RunSpec:
        spec = RunSpec(
            scale=self.resolve.scale.name,
            phase=phase,
            dataset=dataset,
            cell=cell,
            params=params,
            revisions={"engine": ENGINE_REVISION, **found},
            upstream=upstream,
        )
        return self.built.setdefault(spec.digest, spec)

    def _networks(self, ask: SearchRequest | StudentRequest) -> dict[str, Component]:
        return {
            "teacher": self.resolve.get("network", ask.pair.teacher),
            "student": self.resolve.get("network", ask.pair.student),
        }
