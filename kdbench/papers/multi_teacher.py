"""Our own: DFA, which imitates several teachers with one, beside two and three teachers.

DFA's abstract rests on that comparison: several teachers help, but cost, and aggregated features
of one teacher should do as well for less. The paper's numbers of it are not at hand.
"""

from kdbench.exhibits.protocols import DFA_CIFAR, DFA_SEARCH
from kdbench.exhibits.requests import FurtherTeacher, Pair
from kdbench.exhibits.tables import TOP1, Row, Summary, Table

PAIR = Pair("wrn-28-4", "wrn-16-2")
TWO = (FurtherTeacher("wrn-28-4", seed=1),)
THREE = (*TWO, FurtherTeacher("wrn-28-4", seed=2))
LAST = "last map of each stage"

TABLE = Table(
    id="ours/multi-teacher",
    title="DFA with one teacher beside two and three teachers, CIFAR-100 (ours)",
    dataset="cifar100",
    metric=TOP1,
    pairs=(PAIR,),
    rows=(
        Row("teacher", role="teacher"),
        Row("student", "none"),
        Row("KD, 1 teacher", "kd"),
        Row("KD, mean of 2 teachers", "kd_mean", further=TWO),
        Row("KD, mean of 3 teachers", "kd_mean", further=THREE),
        Row(f"{LAST}, 1 teacher", "dfa_last"),
        Row(f"{LAST}, 2 teachers", "dfa_last", further=TWO),
        Row(f"{LAST}, 3 teachers", "dfa_last", further=THREE),
        Row("DFA, 1 teacher", "dfa"),
    ),
    recipe=DFA_CIFAR,
    search_recipe=DFA_SEARCH,
    seeds=5,
    least_seeds=3,
    on_request=True,
    comparisons=(
        ("KD, mean of 3 teachers", "KD, 1 teacher"),
        (f"{LAST}, 2 teachers", f"{LAST}, 1 teacher"),
        (f"{LAST}, 3 teachers", f"{LAST}, 1 teacher"),
        ("DFA, 1 teacher", f"{LAST}, 1 teacher"),
        ("DFA, 1 teacher", f"{LAST}, 2 teachers"),
        ("DFA, 1 teacher", f"{LAST}, 3 teachers"),
    ),
    notes=(
        "The further teachers are the same network, trained from other seeds.",
        "KD has the mean of the teachers' softened probabilities as its target; the rows of the "
        f"{LAST} have DFA's loss without aggregation, one connector per stage and teacher, and "
        "the mean over teachers, so that the weight of the loss is that of one teacher. DFA adds "
        "the search: what it gains is the gap to the row of one teacher.",
    ),
)

COST = Summary(
    id="ours/multi-teacher-cost",
    title="What two and three teachers cost beside what they gain, CIFAR-100 (ours)",
    dataset="cifar100",
    renderer="cost_summary",
    requests=tuple(
        (row.label, TABLE.request(row, TABLE.all_columns[0]))
        for row in TABLE.rows
        if row.role == "student"
    ),
    on_request=True,
    caption=(
        "The runs of ours/multi-teacher. A step with k teachers has k forward passes of teachers; "
        "their trainings stand in the last two columns, and DFA's search in one of its own."
    ),
    options=(("baseline", "student"),),
)

EXHIBITS = (TABLE, COST)
