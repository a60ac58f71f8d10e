"""From what an exhibit requests to run specifications, with every parameter resolved."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from kdbench.errors import BadValue
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.requests import (
    JOIN,
    FurtherTeacher,
    Parameters,
    Request,
    SearchRequest,
    StudentRequest,
    TeacherRequest,
)
from kdbench.plan.components import Component, Components
from kdbench.plan.declarations import Distiller
from kdbench.plan.params import FILE, Params
from kdbench.plan.pathways import check_pathways
from kdbench.plan.ranks import check_ranks, check_steps
from kdbench.plan.resolve import Resolver, plugin_module, smoke_section
from kdbench.plan.tasks import check_task, task_of
from kdbench.store.names import CellName, SearchName
from kdbench.store.parts import EACH, Method, StandIn
from kdbench.store.spec import (
    ENGINE_REVISION,
    PRUNING_REVISION,
    SPLIT_REVISION,
    TEACHERS_REVISION,
    RunSpec,
)
from kdbench.store.student_runs import EvaluationRun, MeasuredRun, SearchRun, StudentRun
from kdbench.store.teacher_runs import AnyTeacher, DataRun, ImportedTeacher, TeacherRun

TEACHER_SEED = 0
FIRST_STUDENT_SEED = 0
LONGEST_CELL = 200  # file systems take 255, of which digest, suffix and temporary names have a part
P = ParamSpec("P")
R = TypeVar("R", bound=RunSpec)
Revisions = dict[str, int | str]
Build = Callable[Concatenate["Builder", P], R]


def remembered(build: Build[P, R]) -> Build[P, R]:
    """Build a run at the first request; thousands of students want the same few teachers."""

    @wraps(build)
    def once(builder: "Builder", /, *request: P.args, **named: P.kwargs) -> R:
        key = (build.__name__, *request, *named.values())
        if key not in builder.built:
            builder.built[key] = build(builder, *request, **named)
        run: R = builder.built[key]
        return run

    return once


@dataclass
class Builder:
    """Builds and remembers the runs of one plan; equal requests give the same object."""

    params: Params
    components: Components
    built: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def resolve(self) -> Resolver:
        """Makes parameters of names."""
        return Resolver(self.params, self.components)

    def build(self, request: Request) -> SearchRun | EvaluationRun:
        """The run that an exhibit reads: a search, or an evaluation over all seeds."""
        return (
            self.search(request) if isinstance(request, SearchRequest) else self.evaluation(request)
        )

    def evaluation(self, request: TeacherRequest | StudentRequest) -> EvaluationRun:
        """The measurement of a teacher, or of a cell's students over all seeds."""
        if isinstance(request, TeacherRequest):
            teacher = self.teacher(request.dataset, request.network, request.recipe)
            return self._evaluation(teacher.cell, teacher)
        name, students = self._students(request)
        return self._evaluation(str(name), *students)

    @remembered
    def data(self, dataset: str) -> DataRun:
        """The prepared data set at this scale: a stand-in, a share, or the whole."""
        component = self.resolve.get("dataset", dataset)
        revisions: Revisions = {dataset: component.revision}
        if self.resolve.scale.stand_in:
            settings = smoke_section(component)
            declared = self.resolve.get("dataset", settings["stand_in"])
            revisions[declared.name] = declared.revision
            stand_in = StandIn(settings=settings, module=plugin_module(declared))
            return self._once(
                DataRun(**self._place(dataset, dataset, revisions), stand_in=stand_in)
            )
        share, module = self.resolve.scale_on(dataset).train_share, plugin_module(component)
        place = self._place(dataset, dataset, revisions)
        return self._once(DataRun(**place, train_share=share, module=module))

    @remembered
    def teacher(
        self, dataset: str, network: str, recipe: Recipe, seed: int = TEACHER_SEED
    ) -> AnyTeacher:
        """One teacher, shared by every cell of the same data set, network and protocol.

        Trained, or imported where params.yaml names a checkpoint: stand-ins have none, and neither
        has a teacher of another seed.
        """
        component = self.resolve.network_on(dataset, network)
        scale = self.resolve.scale_on(dataset)
        check_task(self.resolve.get("dataset", dataset), component)
        settings = {
            **self._place(dataset, str(FurtherTeacher(network, seed)), _revisions(component)),
            "network": self.resolve.network(component),
            "recipe": self.resolve.recipe(recipe, dataset, component, scale.teacher_epochs),
            "runtime": self.resolve.teacher_runtime(dataset, network),
            "data": self.data(dataset),
        }
        checkpoint = self.params.teachers.get(f"{dataset}/{network}")
        if checkpoint and not scale.stand_in and seed == TEACHER_SEED:
            settings["runtime"] = self.resolve.lone_runtime(dataset)
            return self._once(ImportedTeacher(**settings, checkpoint=checkpoint))
        return self._once(TeacherRun(**settings, seed=seed))

    @remembered
    def search(self, request: SearchRequest) -> SearchRun:
        """One search on one pair."""
        component = self.resolve.get("search", request.search)
        teacher, student = self._networks(request)
        check_task(self.resolve.get("dataset", request.dataset), component, teacher, student)
        search, parameters = self.resolve.search(component, request.pair.key, request.parameters)
        naming = SearchName(
            teacher=request.pair.teacher,
            student=request.pair.student,
            search=request.search,
            parameters=parameters,
            seed=request.seed,
            tuning_holdout=request.tuning_holdout,
            teacher_last=self._named_last(request),
        )
        base = replace(request, search=component.base, parameters=()) if component.base else None
        revisions = _revisions(component, teacher, student)
        if search.validation_share or request.tuning_holdout:
            revisions["split"] = SPLIT_REVISION
        protocol = (request.search_recipe, request.dataset, student)
        run = SearchRun(
            **self._place(request.dataset, str(naming), revisions),
            data=self.data(request.dataset),
            teachers=self._teachers(request),
            student=self.resolve.network(student),
            search=search,
            base=self.search(base) if base else None,
            recipe=self.resolve.search_recipe(component, *protocol),
            seed=request.seed,
            runtime=self.resolve.search_runtime(request.dataset, request.pair.key),
            tuning_holdout=request.tuning_holdout,
            teacher_last=self._teacher_last(request),
            naming=naming,
        )
        return self._once(run)

    def _students(self, request: StudentRequest) -> tuple[CellName, list[StudentRun]]:
        """The student runs of a cell, which differ in nothing but the seed."""
        # Sums have one order, so that a+b and b+a are one run.
        request = replace(request, method=JOIN.join(sorted(request.method.split(JOIN))))
        parts = [self.resolve.get("method", name) for name in request.method.split(JOIN)]
        teacher, student = self._networks(request)
        check_task(self.resolve.get("dataset", request.dataset), student, *parts)
        taught = any(part.needs_teacher for part in parts)
        structure = self._structure(request)
        if structure:
            student = self.resolve.get("network", structure.student.name)
        method, parameters = self._method(request, parts)
        schemes = [
            self._scheme(request, part, loss) if part.search else None
            for part, loss in zip(parts, method.losses, strict=True)
        ]
        recipe, epochs = self._budget(request, student)
        dataset = request.dataset
        trained = request.pair.key if taught or structure else request.pair.student
        name = CellName(
            teacher=request.pair.teachers if taught else "",
            student=structure.naming.pruned_student if structure else request.pair.student,
            method=request.method,
            parameters=parameters,
            tuning_holdout=request.tuning_holdout,
            schemes=tuple(details for _, details in filter(None, schemes)),
            teacher_last=taught and self._named_last(request),
            epochs=epochs,
            ranks=self.resolve.other_ranks(dataset, trained, request.ranks),
        )
        teachers = self._teachers(request) if taught else ()
        further = [self.resolve.get("network", run.network.name) for run in teachers[1:]]
        revisions = _revisions(*parts, *([teacher] if taught else []), *further, student)
        if further:
            revisions["teachers"] = TEACHERS_REVISION
        if structure:
            revisions["carving"] = PRUNING_REVISION
        if request.tuning_holdout:
            revisions["split"] = SPLIT_REVISION
        settings: dict[str, Any] = {
            "data": self.data(dataset),
            "teachers": teachers,
            "student": self.resolve.network(student, structure.search.name if structure else ""),
            "method": method,
            "recipe": recipe,
            "runtime": self.resolve.student_runtime(
                dataset, trained, request.ranks, foldable=taught and _looks_in_eval(method)
            ),
            "tuning_holdout": request.tuning_holdout,
            "teacher_last": self._teacher_last(request),
            "structure": structure,
            "schemes": tuple(scheme and scheme[0] for scheme in schemes),
        }
        runs = []
        for seed in self._seeds(request):
            place = self._place(dataset, name.of_seed(seed), revisions)
            runs.append(self._once(StudentRun(**place, **settings, seed=seed)))
        check_steps(runs[0], parts)
        return name, runs

    def _budget(self, request: StudentRequest, student: Component) -> tuple[Recipe, int]:
        """The students' protocol, and its epochs where they are a share of the whole; else 0."""
        epochs = self.resolve.scale_on(request.dataset).student_epochs
        whole = self.resolve.recipe(request.recipe, request.dataset, student, epochs)
        share = whole.shortened(max(1, round(request.budget * whole.epochs)))
        return share, 0 if share.epochs == whole.epochs else share.epochs

    def _teacher_last(self, request: SearchRequest | StudentRequest) -> bool:
        """Whether the exhibit or the scale takes the teacher at its last epoch."""
        return request.teacher_last or self.resolve.scale.teacher_epoch == "last"

    def _named_last(self, request: SearchRequest | StudentRequest) -> bool:
        """Whether names tell: where the exhibit alone does, and the protocol's epoch is another."""
        best = request.recipe.reported == "best" and not request.tuning_holdout
        scale = self.resolve.scale.teacher_epoch
        return best and request.teacher_last and scale != "last"

    def _structure(self, request: StudentRequest) -> SearchRun | None:
        """The search that prunes the students, if one does."""
        if request.pruned_by is None:
            return None
        pruning = replace(
            request.pruned_by,
            tuning_holdout=request.tuning_holdout,
            teacher_last=request.teacher_last,
        )
        return self.search(pruning)

    def _teachers(self, request: SearchRequest | StudentRequest) -> tuple[AnyTeacher, ...]:
        """The teachers of a pair, its own first.

        Raises:
            BadValue: one of them twice, or several for a search.
        """
        pair = request.pair
        if pair.further and isinstance(request, SearchRequest):
            advice = "searches and the methods that need one have a single teacher"
            raise BadValue(f"exhibits, {request.search}", pair.key, "one teacher", advice)
        recipe = (isinstance(request, StudentRequest) and request.teacher_recipe) or request.recipe
        asked = (FurtherTeacher(pair.teacher, TEACHER_SEED), *pair.further)
        if len(set(asked)) < len(asked):
            raise BadValue("exhibits, pairs", pair.key, "each teacher once")
        return tuple(
            self.teacher(request.dataset, teacher.network, recipe, teacher.seed)
            for teacher in asked
        )

    def _seeds(self, request: StudentRequest) -> range:
        count = self.resolve.seeds(request.seeds, lead=request.lead, least=request.least)
        return range(FIRST_STUDENT_SEED, FIRST_STUDENT_SEED + count)

    def _method(self, request: StudentRequest, parts: list[Component]) -> tuple[Method, str]:
        """One method, or several whose losses are added, and how the cell's name spells it.

        Each part sees the teacher in its own mode, and takes what it knows of the exhibit's
        parameters. Of their weights of the cross-entropy the
        largest counts: what weighs it less makes room for a term of its own, beside which the
        others still need the whole task.
        """
        pair = request.pair.single.key
        if len(parts) == 1:
            return self.resolve.method(parts[0], pair, request.parameters)
        given = [_taken(part, request.parameters) for part in parts]
        pairs = zip(parts, given, strict=True)
        methods, spelled = zip(
            *(self.resolve.method(p, pair, own) for p, own in pairs), strict=True
        )
        modes = {method.teacher_mode for method in methods}
        joined = Method(
            name=request.method,
            module="kdbench.distill.joined",
            class_name="JoinedLosses",
            parameters={"task_weight": max(m.parameters.get("task_weight", 1.0) for m in methods)},
            teacher_mode=modes.pop() if len(modes) == 1 else EACH,
            parts=methods,
        )
        return joined, "".join(spelled)

    def _scheme(
        self, request: StudentRequest, method: Component, loss: Method
    ) -> tuple[SearchRun, str]:
        """The search whose scheme a method takes, and what tells it from the pair's own search.

        Raises:
            BadValue: there is no protocol of it, or its pathways are not the method's.
        """
        if request.search_recipe is None:
            expected = f"a protocol for {method.search}"
            raise BadValue(f"{method.name}, search_recipe", None, expected)
        here = SearchRequest(
            dataset=request.dataset,
            pair=request.pair,
            search=str(method.search),
            recipe=request.teacher_recipe or request.recipe,
            search_recipe=request.search_recipe,
            parameters=request.search_parameters,
            tuning_holdout=request.tuning_holdout,
            teacher_last=request.teacher_last,
        )
        if request.origin is None:
            run = self.search(here)
            check_pathways(run, request, loss)
            return run, run.naming.details
        share = request.tuning_holdout if request.origin.dataset == request.dataset else 0.0
        origin = replace(
            request.origin,
            search=here.search,
            tuning_holdout=share,
            teacher_last=request.teacher_last,
        )
        place = "" if origin.dataset == request.dataset else f"-{origin.dataset}"
        if origin.pair != request.pair:
            place += f"-{origin.pair.teacher}-{origin.pair.student}"
        run = self.search(origin)
        check_pathways(run, request, loss)
        return run, run.naming.details + (f"-from{place}" if place else "")

    def _evaluation(self, cell: str, *runs: MeasuredRun) -> EvaluationRun:
        run = EvaluationRun(
            **self._place(runs[0].dataset, cell, {}),
            data=runs[0].data,
            runtime=self.resolve.lone_runtime(runs[0].dataset),
            runs=runs,
        )
        return self._once(run)

    def _place(self, dataset: str, cell: str, revisions: Revisions) -> dict[str, Any]:
        """Where a run lies.

        Raises:
            BadValue: its name would be too long for a file.
        """
        if len(cell) > LONGEST_CELL:
            expected = f"a name of a run of at most {LONGEST_CELL} characters"
            advice = "join fewer methods, or give their parameters in methods and searches"
            raise BadValue(f"{FILE}, {dataset}", cell, expected, advice)
        return {
            "scale": self.resolve.scale.name,
            "dataset": dataset,
            "cell": cell,
            "task": task_of(self.resolve.get("dataset", dataset)),
            "revisions": {"engine": ENGINE_REVISION, **revisions},
        }

    def _once(self, run: R) -> R:
        """The run of that digest, which may have been built for another request before.

        Raises:
            BadValue: see `check_ranks`.
        """
        check_ranks(run)
        first: R = self.built.setdefault(run.digest, run)
        return first

    def _networks(self, request: SearchRequest | StudentRequest) -> tuple[Component, Component]:
        names = request.pair.teacher, request.pair.student
        teacher, student = (self.resolve.network_on(request.dataset, name) for name in names)
        return teacher, student


def _taken(part: Component, parameters: Parameters) -> Parameters:
    """Those of an exhibit's parameters that a part of a sum declares."""
    declared = part.declaration
    known = declared.defaults if isinstance(declared, Distiller) else {}
    return tuple((key, value) for key, value in parameters if key in known)


def _looks_in_eval(method: Method) -> bool:
    """Whether the teacher's norms have running statistics in every part of a method."""
    return all(part.teacher_mode == "eval" for part in method.losses)


def _revisions(*components: Component) -> Revisions:
    return {component.name: component.revision for component in components}
