"""DistPro, Figure 5's question on CIFAR-100: one process for every budget of epochs.

The paper's own figure is on ImageNet, with 10 to 100 epochs.
"""

from kdbench.exhibits.keys import BudgetKey
from kdbench.exhibits.requests import StudentRequest
from kdbench.exhibits.tables import Figure
from kdbench.papers.distpro import LEAD, TABLE1

METHODS = (("ReviewKD", "reviewkd"), ("DistPro", "distpro"))
WHOLE = TABLE1.recipe.epochs
EPOCHS = (24, 48, 120, WHOLE)


def _request(method: str, epochs: int) -> StudentRequest:
    return StudentRequest(
        dataset=TABLE1.dataset,
        pair=LEAD,
        method=method,
        recipe=TABLE1.recipe,
        seeds=TABLE1.seeds,
        lead=epochs == WHOLE,  # the runs of Table 1
        search_recipe=TABLE1.search_recipe,
        budget=epochs / WHOLE,
    )


BUDGETS = Figure(
    id="distpro/budgets",
    title="DistPro: one process for every budget, WRN-40-2 -> WRN-16-2 on CIFAR-100 (ours)",
    dataset="cifar100",
    renderer="budget_figure",
    requests=tuple(
        (BudgetKey(label, epochs), _request(method, epochs))
        for label, method in METHODS
        for epochs in EPOCHS
    ),
    caption=(
        "Accuracy of students trained for fewer epochs, with the process of one search stretched "
        "over each. The paper asks this on ImageNet (Figure 5): DistPro is ahead of ReviewKD by "
        "0.14 points at 100 epochs and by 3.22 at 10."
    ),
    notes=(
        "Budgets are 10, 20, 50 and 100 % of the protocol's epochs, at least one; the learning "
        "rate falls at the same shares of each.",
        "ReviewKD's warm-up is a staircase in whole epochs that starts at 0: where a budget is one "
        "epoch, as the smallest at scales lite and smoke, it distils nothing.",
    ),
)

EXHIBITS = (BUDGETS,)
