"""Typed parts of runs and whole runs, made by hand for tests."""

from dataclasses import replace

from kdbench.exhibits.protocols import CRD
from kdbench.plan.components import find_components
from kdbench.plan.params import Params
from kdbench.plan.resolve import Resolver
from kdbench.store.names import SearchName
from kdbench.store.parts import Runtime
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import DataRun, TeacherRun

RESOLVER = Resolver(Params(scale="paper"), find_components())
RUNTIME = Runtime(precision="float32", channels_last=False, threads=1)
PLACE = {"scale": "smoke", "dataset": "cifar100", "revisions": {}}
DATA = DataRun(**PLACE, cell="cifar100", train_share=0.5)


def network_part(name):
    """A network as run specifications hold it."""
    return RESOLVER.network(RESOLVER.get("network", name))


def method_part(name, pair="", **parameters):
    """A method with the parameters of the paper's scale, some of them replaced."""
    method, _ = RESOLVER.method(RESOLVER.get("method", name), pair, ())
    return replace(method, parameters={**method.parameters, **parameters})


def search_part(name, pair="", **parameters):
    """A search with the parameters of the paper's scale, some of them replaced."""
    search, _ = RESOLVER.search(RESOLVER.get("search", name), pair, ())
    return replace(search, parameters={**search.parameters, **parameters})


def computing(recipe=CRD, data=DATA, **fields):
    """What runs that train share."""
    return {**PLACE, "runtime": RUNTIME, "data": data, "recipe": recipe, "seed": 0, **fields}


def teacher_run(network, **fields):
    """A teacher's training."""
    return TeacherRun(**computing(cell=network, **fields), network=network_part(network))


def search_run(search, teacher, student, **fields):
    """A search on one pair."""
    naming = SearchName(teacher=teacher, student=student, search=search)
    return SearchRun(
        **computing(cell=str(naming), **fields),
        teachers=(teacher_run(teacher, **fields),),
        student=network_part(student),
        search=search_part(search),
        naming=naming,
    )


def student_run(method, teacher, student, **fields):
    """A student's training, after the search that its method needs."""
    component = RESOLVER.get("method", method)
    scheme = search_run(component.search, teacher, student, **fields) if component.search else None
    return StudentRun(
        **computing(cell=f"{teacher}_{student}_{method}_s0", **fields),
        teachers=(teacher_run(teacher, **fields),) if component.needs_teacher else (),
        student=network_part(student),
        method=method_part(method),
        schemes=(scheme,),
    )
