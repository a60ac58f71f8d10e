"""Beyond the papers: exhibits of our own, which set the three searches side by side."""

from dataclasses import replace

from kdbench.exhibits.keys import SearchKey, SeedKey
from kdbench.exhibits.protocols import DISTPRO_SEARCH, REVIEW
from kdbench.exhibits.requests import Pair, Parameters, Request, SearchRequest, StudentRequest
from kdbench.exhibits.tables import TEACHER, TOP1, Column, Figure, Row, Summary, Table
from kdbench.papers.dfa import MATCHED
from kdbench.papers.distpro import TEN
from kdbench.papers.distpro_imagenet import BY_LABEL, COLUMNS, COSINE, TABLE4

LEAD = Pair("wrn-40-2", "wrn-16-2")
GRAPH = "wrn-40-2"
KD_SBS: Parameters = (("weight", 1.0), ("task_weight", 0.1), ("temperature", 4.0))

SEARCHES = Table(
    id="ours/searches",
    title="The three searches side by side: same pairs, protocol and budget, CIFAR-100 (ours)",
    dataset="cifar100",
    metric=TOP1,
    pairs=(LEAD, Pair("resnet56", "resnet20")),
    rows=(
        Row("teacher", role="teacher"),
        Row("student", "none"),
        Row("KD", "kd"),
        Row("ReviewKD", "reviewkd"),
        Row("DFA", "dfa"),
        Row("DistPro", "distpro"),
        Row("DFA and DistPro together", "dfa+distpro"),
        Row("SBS: found in the teacher", "none", pruned_by="sbs_kl", pruned_from=TEACHER),
        Row(
            "SBS: found in the teacher, distilled",
            "kd",
            parameters=KD_SBS,
            pruned_by="sbs_kl",
            pruned_from=TEACHER,
        ),
    ),
    recipe=REVIEW,
    search_recipe=DISTPRO_SEARCH,
    seeds=5,
    notes=(
        "One protocol, one teacher and one length of search (40 epochs at scale paper) for all. "
        "Their epochs are not equally long: DFA trains on half of the images and holds the other "
        "half out, DistPro on four fifths, SBS on all until its budget is met.",
        "SBS finds another student than the pair's: the teacher, cut down to 30 % of its FLOPs, "
        "about those of WRN-16-2 (31 %) and ResNet20 (33 %).",
        "DFA and DistPro together: both losses are added, each with the weights of its own search.",
    ),
)

STUDENTS = Table(
    id="ours/students",
    title="A student found by SBS in the teacher, under every kind of baseline, CIFAR-100 (ours)",
    dataset="cifar100",
    metric=TOP1,
    columns=(Column(LEAD, label="WRN-40-2<br>→ found in WRN-40-2"),),
    rows=tuple(
        Row(
            f"searched student, {label}",
            method,
            parameters=own,
            pruned_by="sbs_kl",
            pruned_from=GRAPH,
        )
        for label, method, own in (
            ("from scratch", "none", ()),
            ("KD as in SBS", "kd", KD_SBS),
            ("KD", "kd", ()),
            ("AT", "at", ()),
            ("SP", "sp", ()),
            ("CRD", "crd", ()),
            ("OFD", "ofd", ()),
            ("ReviewKD", "reviewkd", ()),
            ("DFA", "dfa_average", ()),
        )
    ),
    recipe=REVIEW,
    search_recipe=DISTPRO_SEARCH,
    seeds=3,
    notes=(
        "The student is carved out of WRN-40-2 down to 30 % of its FLOPs, about those of "
        "WRN-16-2 (31 %).",
        "DFA aggregates with equal weights here: its search needs a fixed student.",
    ),
)


def _costs() -> Summary:
    rows = [row for row in SEARCHES.rows if row.role == "student"]
    column = SEARCHES.all_columns[0]
    return Summary(
        id="ours/cost",
        title="What a search costs beside what it gains, WRN-40-2 -> WRN-16-2 on CIFAR-100 (ours)",
        dataset="cifar100",
        renderer="cost_summary",
        requests=tuple((row.label, SEARCHES.request(row, column)) for row in rows),
        caption="Search and training together: points of accuracy over the student alone per hour.",
        options=(("baseline", "student"),),
    )


def _spread() -> Summary:
    whole = Pair(GRAPH, GRAPH)
    searches = (("DFA", "dfa", LEAD), ("DistPro", "distpro", LEAD), ("SBS", "sbs_kl", whole))
    return Summary(
        id="ours/spread",
        title="How far searches move, and how far apart their seeds end, CIFAR-100 (ours)",
        dataset="cifar100",
        renderer="spread_summary",
        requests=tuple(
            (SeedKey(label, seed), _search(search, pair, seed=seed))
            for label, search, pair in searches
            for seed in range(3)
        )
        + tuple(
            (SeedKey("DFA, data order held", draw), _search("dfa", LEAD, (("draw", draw),)))
            for draw in range(2)
        ),
        caption=(
            "A search that stays where it started, or ends elsewhere with every seed, has found "
            "nothing that a table of test accuracies could be owed to. Data order held: the seed "
            "is one, and nothing but DFA's connectors and first β is drawn anew; below an "
            "agreement of 0.7 that draw decides too much of what is found."
        ),
    )


def _search(search: str, pair: Pair, parameters: Parameters = (), seed: int = 0) -> SearchRequest:
    return SearchRequest(
        dataset="cifar100",
        pair=pair,
        search=search,
        recipe=REVIEW,
        search_recipe=DISTPRO_SEARCH,
        parameters=parameters,
        seed=seed,
    )


def _gradient(name: str) -> SearchRequest:
    return _search("distpro", LEAD, (("gradient", name),))


METAGRADIENT = Figure(
    id="ours/metagradient",
    title="The meta-gradient: finite difference against exact, WRN-40-2 -> WRN-16-2 (ours)",
    dataset="cifar100",
    renderer="similarity_figure",
    requests=tuple(
        (name, _gradient(name)) for name in ("finite-difference", "exact", "first-order")
    ),
    caption=(
        "Correlation of the processes that the three ways to take the gradient find, and what the "
        "search costs with each. Table distpro/variants says what comes of it; "
        "docs/results.md, how far each gradient is from the one through the optimiser's step."
    ),
)

WEIGHTS = ("random weights", "equal weights", "last map of each stage")
CONTROL_METHODS = ("dfa_random", "dfa_average", "dfa_last")
ALPHA_T = "use alpha_T"

CONTROLS = replace(
    SEARCHES,
    id="ours/controls",
    title="Each search against what it has to beat, WRN-40-2 -> WRN-16-2 on CIFAR-100 (ours)",
    pairs=(LEAD,),
    rows=(
        Row("student", "none"),
        Row("KD", "kd"),
        Row("ReviewKD", "reviewkd"),
        *(
            Row(f"DFA's loss, {weights}", method)
            for weights, method in zip(WEIGHTS, CONTROL_METHODS, strict=True)
        ),
        Row("DFA", "dfa"),
        *(
            Row(f"DFA's loss at matched strength, {weights}", method, parameters=MATCHED)
            for weights, method in zip(WEIGHTS, CONTROL_METHODS, strict=True)
        ),
        Row("DFA at matched strength", "dfa", parameters=MATCHED),
        Row("DistPro's pathways, equal weights", "equal", parameters=TEN),
        Row(f"DistPro's pathways, {ALPHA_T}", "alpha_t", parameters=TEN, search_parameters=TEN),
        Row("DistPro", "distpro", parameters=TEN, search_parameters=TEN),
    ),
    seeds=5,
    least_seeds=3,
    on_request=True,
    comparisons=(
        *(("DFA", f"DFA's loss, {weights}") for weights in WEIGHTS),
        *(
            ("DFA at matched strength", f"DFA's loss at matched strength, {weights}")
            for weights in WEIGHTS
        ),
        *(("DistPro", f"DistPro's pathways, {weights}") for weights in ("equal weights", ALPHA_T)),
    ),
    notes=(
        "One teacher and one search; the seeds are those of the student runs.",
        "DistPro has the release's 10 pathways here, which cost a third of the paper's 27; those "
        "are in its Table 1.",
        "At matched strength every aggregated map is divided by its root mean square: rows of "
        "DFA's loss as it is differ in the strength of the loss too, not in the weights alone.",
        "What a search adds is the gap to the rows with the same loss and weights that nobody "
        "searched, not the gap to the student alone.",
    ),
)

LOSSES = replace(
    STUDENTS,
    id="ours/losses",
    title="SBS's four losses in a network that is no DenseNet: WRN-40-2 on CIFAR-100 (ours)",
    columns=tuple(
        Column(LEAD, method=method, parameters=own, label=f"found in WRN-40-2,<br>{label}")
        for label, method, own in (("from scratch", "none", ()), ("distilled", "kd", KD_SBS))
    ),
    rows=tuple(
        Row(f"found by {label}", pruned_by=search, pruned_from=GRAPH)
        for label, search in (
            ("NP", "sbs_np_unweighted"),
            ("NP, weighted", "sbs_np"),
            ("KL", "sbs_kl_unweighted"),
            ("KL, weighted", "sbs_kl"),
        )
    ),
    on_request=True,
    comparisons=tuple(
        ("found by KL, weighted", f"found by {label}") for label in ("NP", "NP, weighted", "KL")
    ),
    notes=(
        "Each student is carved out of WRN-40-2 down to 30 % of its FLOPs, if its search met "
        "that; its record says so.",
    ),
)

GATES = Summary(
    id="ours/gates",
    title="SBS's four searches in WRN-40-2 on CIFAR-100: when they were over, how alike (ours)",
    dataset="cifar100",
    renderer="gates_summary",
    requests=tuple(
        (SearchKey(GRAPH, label), _search(search, Pair(GRAPH, GRAPH)))
        for label, search in (
            ("KL, weighted", "sbs_kl"),
            ("KL", "sbs_kl_unweighted"),
            ("NP, weighted", "sbs_np"),
            ("NP", "sbs_np_unweighted"),
        )
    ),
    on_request=True,
    caption="The searches behind ours/losses.",
)


def _by_ranks(ranks: int) -> Request:
    """ReviewKD's student of ImageNet's smaller pair."""
    request = TABLE4.request(BY_LABEL[COSINE], COLUMNS["ResNet18"])
    assert isinstance(request, StudentRequest)
    return replace(request, ranks=ranks)


RANKS = Summary(
    id="ours/ranks",
    title="One student of ImageNet in one process and shared by two, ResNet34 -> ResNet18 (ours)",
    dataset="imagenet",
    renderer="cost_summary",
    requests=(("1 rank", _by_ranks(1)), ("2 ranks", _by_ranks(2))),
    on_request_at=("lite", "paper"),
    caption="ReviewKD*. Norms see the images of all ranks: losses differ by rounding.",
    options=(("baseline", "1 rank"),),
)

EXHIBITS = (SEARCHES, STUDENTS, _costs(), _spread(), METAGRADIENT, CONTROLS, LOSSES, GATES, RANKS)
