"""Pairs as users write them: `teacher:student`, or `teacher+teacher:student`."""

import re

from kdbench.errors import BadValue
from kdbench.exhibits.requests import TEACHERS, FurtherTeacher, Pair
from kdbench.plan.components import Components

SEED = re.compile(r"(.+)-seed([1-9]\d{0,3})")
SEEDS = "the same network trained from another seed is written as wrn-28-4-seed1"


def parse_pair(key: str, components: Components, where: str) -> Pair:
    """A pair of networks that exist.

    Raises:
        UnknownName: no such network.
        BadValue: it is no pair, or has a teacher twice.
    """
    teachers, colon, student = key.partition(":")
    if not colon:
        raise BadValue(f"{where}, pairs", key, "teacher:student")
    teacher, *others = teachers.split(TEACHERS)
    for network in (teacher, student):
        components.get("network", network, where=where)
    further = tuple(_further(name, components, where) for name in others)
    if len({FurtherTeacher(teacher), *further}) <= len(further):
        raise BadValue(f"{where}, pairs", key, "each teacher once", SEEDS)
    return Pair(teacher, student, further)


def _further(name: str, components: Components, where: str) -> FurtherTeacher:
    """A teacher beside the first: a network, or the same one trained from another seed."""
    match = SEED.fullmatch(name)
    network, seed = (match[1], int(match[2])) if match else (name, 0)
    components.get("network", network, where=where)
    return FurtherTeacher(network, seed)
