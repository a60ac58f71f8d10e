"""DistPro (ECCV 2022, arXiv 2204.05547): exhibits on CIFAR-100."""

from dataclasses import replace

from kdbench.exhibits.keys import SeedKey
from kdbench.exhibits.protocols import DISTPRO_SEARCH, REVIEW
from kdbench.exhibits.requests import Pair, Parameters, SearchRequest
from kdbench.exhibits.tables import TOP1, Figure, Origin, Row, Summary, Table

BIBTEX = {"distpro": ("deng2022distpro",)}

# The pathways of the release: a stage's map or a deeper one of the student, the stem included.
TEN: Parameters = (
    ("connections", "downward"),
    ("stem", True),
    ("transforms", ("complex",)),
)

TABLE1 = Table(
    id="distpro/table1",
    title="DistPro, Table 1: CIFAR-100",
    dataset="cifar100",
    metric=TOP1,
    pairs=(
        Pair("wrn-40-2", "wrn-16-2"),
        Pair("wrn-40-2", "shufflenet-v1"),
        Pair("resnet32x4", "shufflenet-v1"),
        Pair("resnet32x4", "shufflenet-v2"),
        Pair("resnet56", "resnet20"),
        Pair("resnet110", "resnet32"),
    ),
    rows=(
        Row("teacher", None, role="teacher", published="teacher"),
        Row("student", "none", published="student"),
        Row("KD (added by us)", "kd"),
        Row("L2T-ww+", "l2t_ww", published="L2T-ww+"),
        Row("ReviewKD+", "reviewkd", published="ReviewKD+"),
        Row("equally weighted", "equal", published="equally weighted"),
        Row("use alpha_T", "alpha_t", published="use alpha_T"),
        Row("DistPro", "distpro", published="DistPro"),
    ),
    recipe=REVIEW,
    search_recipe=DISTPRO_SEARCH,
    seeds=5,
    leads=True,
    tolerance=0.5,  # points; five seeds of spread 0.25 already take ±0.31 of it
    published="distpro.csv",
    exhibit="table1",
    setting="CIFAR-100 {teacher} -> {student}",
    spread_is_variance=True,
    notes=(
        "One teacher and one search a pair; the seeds are those of the student runs.",
        "The three transforms of the 27 pathways are the three attention blocks of the authors' "
        "release; the paper does not print them.",
    ),
)

LEAD = Pair("wrn-40-2", "wrn-16-2")
WHOLE = "no pathway dropped"
WITH_BATCHES = "teacher's batch norms by batch"
BATCH: Parameters = (("teacher_bn", "batch"),)
# The two sets of pathways that section 4.4 compares.
LAST: Parameters = (("maps", ("t3-s1", "t3-s2", "t3-s3")),)
LOWER: Parameters = (("connections", "downward"),)


def _search(pair: Pair, parameters: Parameters = (), seed: int = 0) -> SearchRequest:
    return SearchRequest(
        dataset="cifar100",
        pair=pair,
        search="distpro",
        recipe=REVIEW,
        search_recipe=DISTPRO_SEARCH,
        parameters=parameters,
        seed=seed,
    )


FIGURE6 = Figure(
    id="distpro/figure6",
    title="DistPro, Figure 6: the searched process, WRN-40-2 -> WRN-16-2 on CIFAR-100",
    dataset="cifar100",
    renderer="process_figure",
    requests=(("search", _search(LEAD)),),
    caption=(
        "Weight of every pathway over the search, one panel a teacher map. The paper finds that "
        "weight moves from low to high teacher maps as the training goes on."
    ),
)

TABLE7 = replace(
    TABLE1,
    leads=False,
    id="distpro/table7",
    title="DistPro, Table 7: normalisations of the pathway weights, CIFAR-100",
    pairs=(Pair("wrn-28-4", "wrn-16-4"),),
    rows=tuple(
        Row(printed, "distpro", published=printed, search_parameters=(("normalise", name),))
        for name, printed in (
            ("biased-softmax", "softmax(concat(a,1))"),
            ("softmax", "softmax(a)"),
            ("abs-biased", "a/(|a|_1+1)"),
            ("abs", "a/|a|_1"),
            ("sigmoid", "sigmoid(a)"),
        )
    ),
    exhibit="table7",
    spread_is_variance=False,
    notes=TABLE1.notes[:1],
)

VARIANTS = replace(
    TABLE1,
    leads=False,
    id="distpro/variants",
    title="DistPro: what the paper and the release leave open, CIFAR-100 (ours)",
    pairs=(LEAD,),
    rows=(
        Row("DistPro, 27 pathways", "distpro"),
        Row(
            "the 10 pathways of the release",
            "distpro",
            parameters=TEN,
            search_parameters=TEN,
        ),
        Row("weights times n, as released", "distpro", parameters=(("factor", "release"),)),
        Row(WHOLE, "distpro", parameters=(("drop", False),)),
        Row(
            "process of ResNet56 -> ResNet20",
            "distpro",
            origin=Origin(pair=Pair("resnet56", "resnet20")),
        ),
        Row("exact meta-gradient", "distpro", search_parameters=(("gradient", "exact"),)),
        Row("first-order search", "distpro", search_parameters=(("gradient", "first-order"),)),
        *(
            Row(label, "distpro", search_parameters=(("scale_free", free),))
            for label, free in (
                ("meta-gradient times the student's step, as released", False),
                ("meta-gradient without that factor", True),
            )
        ),
        Row("lower to higher maps", "distpro", parameters=LOWER, search_parameters=LOWER),
        Row("last map to the first three", "distpro", parameters=LAST, search_parameters=LAST),
        Row("equally weighted", "equal"),
        Row("use alpha_T", "alpha_t"),
        *(
            Row(f"{label}, {WITH_BATCHES}", method, parameters=BATCH, search_parameters=searched)
            for label, method, searched in (
                ("DistPro", "distpro", BATCH),
                ("equally weighted", "equal", ()),
                ("use alpha_T", "alpha_t", BATCH),
            )
        ),
        Row("teacher at its last epoch", "distpro", teacher_last=True),
    ),
    published="",
    exhibit="",
    notes=(
        "Every row changes one thing of the first. The paper says that with a first-order "
        "gradient all weights are driven to 0.",
        "The meta-gradient carries the size of the student's step, as in the release; when the "
        "learning rate falls tenfold, so does the gradient, and the process all but stops. At "
        "scales lite and smoke, whose searches are short, the first row is without that factor.",
        "The last map to the first three, and lower to higher maps: the two sets of the paper's "
        "section 4.4 (there on Cityscapes), here with the three transforms.",
        "The teacher's batch norms take their running statistics but where a row says otherwise; "
        "the release, like ReviewKD's code, takes each batch's own.",
        "The teacher at its last epoch: search and students then depend on no test label, which "
        "choose the epoch in all other rows.",
        TABLE1.notes[1],
    ),
)

OTHER_SEEDS = tuple(SeedKey(str(LEAD), seed) for seed in (1, 2))

SIMILARITY = Figure(
    id="distpro/similarity",
    title="DistPro: are the searched processes of all pairs alike? CIFAR-100 (ours)",
    dataset="cifar100",
    renderer="similarity_figure",
    requests=(
        *((pair, _search(pair)) for pair in TABLE1.pairs),
        *((key, _search(LEAD, seed=key.seed)) for key in OTHER_SEEDS),
    ),
    caption=(
        "Correlation of the weights of two processes, over all pathways and the whole search. The "
        "paper says that the process is similar across networks and tasks; how similar it can be "
        "is shown by the seeds of one pair."
    ),
)

FIRST_ORDER = replace(
    FIGURE6,
    id="distpro/first-order",
    title="DistPro: the search with a first-order gradient, WRN-40-2 -> WRN-16-2 (ours)",
    requests=(("search", _search(LEAD, (("gradient", "first-order"),))),),
    caption=(
        "The paper says that a first-order gradient drives all values to 0. A pathway's slope is "
        "then its own loss; under the biased softmax those with a small loss rise first."
    ),
)

COST = Summary(
    id="distpro/cost",
    title="DistPro: time of every method, WRN-40-2 -> WRN-16-2 on CIFAR-100",
    dataset="cifar100",
    renderer="cost_summary",
    requests=(
        *(
            (row.label, TABLE1.request(row, TABLE1.all_columns[0]))
            for row in TABLE1.rows
            if row.role == "student"
        ),
        *(
            (row.label, VARIANTS.request(row, VARIANTS.all_columns[0]))
            for row in VARIANTS.rows
            if row.label == WHOLE
        ),
    ),
    caption=(
        "The paper claims that its distillation costs as much time as its baselines, and that "
        "leaving out pathways of small weight saves about 60 % of the losses' time."
    ),
    options=(("baseline", "student"),),
)

EXHIBITS = (TABLE1, FIGURE6, TABLE7, VARIANTS, SIMILARITY, FIRST_ORDER, COST)
