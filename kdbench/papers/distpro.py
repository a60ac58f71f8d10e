"""DistPro (ECCV 2022, arXiv 2204.05547): exhibits on CIFAR-100."""

from kdbench.plan.asks import AskSearch, Pair
from kdbench.plan.exhibits import TOP1, Figure, Row, Table
from kdbench.plan.protocols import DISTPRO_SEARCH, REVIEW

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
    tolerance=0.5,  # points; five seeds of spread 0.25 already take ±0.31 of it
    published="distpro.csv",
    exhibit="table1",
    setting="CIFAR-100 {teacher} -> {student}",
    spread_is_variance=True,
    notes=(
        "One teacher and one search a pair; the seeds are those of the student runs.",
        "Teachers are used at the epoch that was best on the test set, as the authors' code does; "
        "the searches themselves see training images only.",
        "The paper prints variances of five runs; they are shown as their square roots beside our "
        "sample standard deviations.",
        "The three transforms of the 27 pathways are the three attention blocks of the authors' "
        "release; the paper does not print them.",
    ),
)

FIGURE6 = Figure(
    id="distpro/figure6",
    title="DistPro, Figure 6: the searched process, WRN-40-2 -> WRN-16-2 on CIFAR-100",
    dataset="cifar100",
    renderer="process_figure",
    asks=(
        (
            "search",
            AskSearch(
                dataset="cifar100",
                pair=Pair("wrn-40-2", "wrn-16-2"),
                search="distpro",
                recipe=REVIEW,
                search_recipe=DISTPRO_SEARCH,
            ),
        ),
    ),
    caption=(
        "Weight of every pathway over the search, one panel a teacher map. The paper finds that "
        "weight moves from low to high teacher maps as the training goes on."
    ),
)

EXHIBITS = (TABLE1, FIGURE6)
