"""What the DistPro paper says beyond its numbers."""

from kdbench.exhibits.claims import (
    Claim,
    Elsewhere,
    LeadGrows,
    LossesSaved,
    ProcessesAlike,
    RowBest,
    RowsAbove,
    RowsNear,
    RunsAbove,
    SearchCosts,
    SomeRowsAbove,
    StepsCost,
    Thresholds,
    WeightsRise,
    WeightsVanish,
)
from kdbench.exhibits.keys import BudgetKey
from kdbench.papers.distpro import LEAD, OTHER_SEEDS, TABLE1, WHOLE
from kdbench.papers.distpro_budgets import EPOCHS

# What the rows of Table 1 are called in tables that were made for other questions.
CONTROLS = Elsewhere(
    "ours/controls",
    (
        ("DistPro", "DistPro"),
        ("equally weighted", "DistPro's pathways, equal weights"),
        ("use alpha_T", "DistPro's pathways, use alpha_T"),
    ),
)
SIDE_BY_SIDE = (("DistPro", "DistPro"), ("ReviewKD+", "ReviewKD"))


def _at(epochs: int) -> tuple[BudgetKey, BudgetKey]:
    """DistPro's and ReviewKD's students of so many epochs."""
    return BudgetKey("DistPro", epochs), BudgetKey("ReviewKD", epochs)


CLAIMS = (
    Claim(
        id="distpro/advantage",
        text="DistPro is better than equal weights and than the last weights alone, in every pair.",
        where="Table 1",
        exhibits=("distpro/table1",),
        check=RowsAbove((("DistPro", "equally weighted"), ("DistPro", "use alpha_T"))),
        elsewhere=(CONTROLS,),
    ),
    Claim(
        id="distpro/reviewkd",
        text="DistPro is better than ReviewKD, the best method before it, in every pair.",
        where="Table 1",
        exhibits=("distpro/table1",),
        check=RowsAbove((("DistPro", "ReviewKD+"),)),
        elsewhere=(Elsewhere("ours/searches", SIDE_BY_SIDE),),
    ),
    Claim(
        id="distpro/l2t",
        text="DistPro is better than L2T-ww, which also learns what to transfer where, in the two "
        "pairs for which the paper prints it.",
        where="Table 1",
        exhibits=("distpro/table1",),
        check=RowsAbove((("DistPro", "L2T-ww+"),), columns=TABLE1.pairs[2:4]),
    ),
    Claim(
        id="distpro/alpha-t",
        text="The last weights alone are already better than ReviewKD in several pairs (in 4 of 6 "
        "in print; two count as several).",
        where="Table 1",
        exhibits=("distpro/table1",),
        check=SomeRowsAbove("use alpha_T", "ReviewKD+", least=2),
    ),
    Claim(
        id="distpro/equal",
        text="Equal weights are worse than ReviewKD (the paper's own last pair, 73.19 against "
        "73.16, contradicts it).",
        where="Table 1",
        exhibits=("distpro/table1",),
        check=RowsAbove((("ReviewKD+", "equally weighted"),)),
    ),
    Claim(
        id="distpro/biased-softmax",
        text="The biased softmax is the best normalisation.",
        where="Table 7",
        exhibits=("distpro/table7",),
        check=RowBest("softmax(concat(a,1))"),
    ),
    Claim(
        id="distpro/rise",
        text="Low teacher maps dominate early; weight moves to high ones as the training goes on.",
        where="Figure 6",
        exhibits=("distpro/figure6",),
        check=WeightsRise(Thresholds(holds=-0.05, fails=0.0), Thresholds(holds=0.1, fails=0.0)),
    ),
    Claim(
        id="distpro/alike",
        text="The process is similar across networks.",
        where="text",
        exhibits=("distpro/similarity",),
        check=ProcessesAlike((LEAD, *OTHER_SEEDS), Thresholds(holds=0.8, fails=0.5)),
    ),
    Claim(
        id="distpro/transfer",
        text="A process searched on another pair of networks is about as good.",
        where="Table 3 (there on ImageNet)",
        exhibits=("distpro/variants",),
        check=RowsNear("process of ResNet56 -> ResNet20", "DistPro, 27 pathways", within=0.5),
    ),
    Claim(
        id="distpro/first-order",
        text="A first-order gradient drives all weights to 0.",
        where="text",
        exhibits=("distpro/first-order",),
        check=WeightsVanish(Thresholds(holds=0.1, fails=1.0)),
    ),
    Claim(
        id="distpro/cost",
        text="Distillation with the process takes as much time as with the baselines (ReviewKD).",
        where="text",
        exhibits=("distpro/cost",),
        check=StepsCost("DistPro", "ReviewKD+", Thresholds(holds=1.1, fails=1.25)),
        elsewhere=(Elsewhere("ours/cost", SIDE_BY_SIDE),),
    ),
    Claim(
        id="distpro/search-cost",
        text="The search costs little beside the retraining (in print 2 GPU hours on CIFAR-100 at "
        "224 pixels, or 4 on Tiny-ImageNet, beside some 80 on ImageNet).",
        where="Table 3",
        exhibits=("distpro/cost",),
        check=SearchCosts("DistPro", Thresholds(holds=0.25, fails=1.0)),
        elsewhere=(Elsewhere("ours/cost", SIDE_BY_SIDE),),
    ),
    Claim(
        id="distpro/dropping",
        text="Leaving out pathways of small weight saves about 60 % of the losses' time.",
        where="text",
        exhibits=("distpro/cost",),
        check=LossesSaved("DistPro", WHOLE, "KD (added by us)", Thresholds(holds=0.5, fails=0.3)),
    ),
    Claim(
        id="distpro/every-budget",
        text="With one process DistPro is better than ReviewKD at every budget of epochs.",
        where="Figure 5 (there on ImageNet)",
        exhibits=("distpro/budgets",),
        check=RunsAbove(tuple(_at(n) for n in EPOCHS)),
    ),
    Claim(
        id="distpro/growing-lead",
        text="The advantage over ReviewKD grows as the epochs become fewer: it is larger at the "
        "smallest budget than at the whole one.",
        where="Figure 5 (there on ImageNet)",
        exhibits=("distpro/budgets",),
        check=LeadGrows(_at(EPOCHS[0]), _at(EPOCHS[-1])),
    ),
)
