"""Whether a searched process can be used: its pathways must be those of the method."""

from kdbench.errors import BadValue
from kdbench.exhibits.requests import StudentRequest
from kdbench.store.parts import Method
from kdbench.store.student_runs import SearchRun

PATHWAYS = ("connections", "maps", "stem", "transforms")  # parameters that say which there are


def check_pathways(search: SearchRun, request: StudentRequest, loss: Method) -> None:
    """Refuse a process whose pathways are declared otherwise than those that it is to weigh.

    Networks of other numbers of stages are seen when the student's training begins.

    Raises:
        BadValue: the line names both pairs and what differs.
    """
    found, expected = search.search.parameters, loss.parameters
    differ = [key for key in PATHWAYS if found.get(key) != expected.get(key)]
    if not differ:
        return
    where = f"{request.dataset}, {request.pair.key}, {loss.name}, {differ[0]}"
    origin = f"{search.naming.teacher}:{search.naming.student}"
    value = f"{found.get(differ[0])} in the process of {origin}"
    advice = "search on a pair with the same pathways, or give both the same parameters"
    raise BadValue(where, value, f"{expected.get(differ[0])}", advice)
