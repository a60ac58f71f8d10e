"""SBS, "Search for Better Students to Learn Distilled Knowledge" (ECAI 2020, arXiv 2001.11612)."""

from collections.abc import Iterator
from dataclasses import replace

from kdbench.exhibits.keys import NetworkRole, SearchKey, SizeKey, SweepKey
from kdbench.exhibits.protocols import SBS, SBS_SEARCH
from kdbench.exhibits.requests import (
    Pair,
    Parameters,
    SearchRequest,
    StudentRequest,
    TeacherRequest,
)
from kdbench.exhibits.tables import TEST_ERROR, Column, Figure, Row, Summary, Table

BIBTEX = {"sbs": ("gu2020sbs",)}

TEACHER = "densenet-bc-100-12"
WHOLE = Pair(TEACHER, TEACHER)
DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
DISTILLED: Parameters = (("weight", 1.0), ("task_weight", 0.1), ("temperature", 4.0))
MANUAL = (
    "densenet-bc-50-12",
    "densenet-bc-100-7",
    "densenet-bc-75-9",
    "vgg-sbs",
    "googlenet-sbs",
    "resnet-sbs",
    "shufflenet-v2-sbs",
    "mobilenet-v2-sbs",
)
KL0_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
READER: Parameters = (("saving", "reader"),)
LAMBDA2 = (1e-3, 2e-3, 4e-3, 8e-3)
SEARCHED = NetworkRole.SEARCHED


def _search(dataset: str, search: str = "sbs_kl", parameters: Parameters = ()) -> SearchRequest:
    return SearchRequest(
        dataset=dataset,
        pair=WHOLE,
        search=search,
        recipe=SBS,
        search_recipe=SBS_SEARCH,
        parameters=parameters,
    )


def _students(
    dataset: str,
    student: str = TEACHER,
    pruned_by: SearchRequest | None = None,
    distilled: bool = True,
) -> StudentRequest:
    return StudentRequest(
        dataset=dataset,
        pair=Pair(TEACHER, student),
        method="kd" if distilled else "none",
        recipe=SBS,
        seeds=5,
        lead=pruned_by == _search("cifar10") and not distilled,  # as Table 1's first column
        parameters=DISTILLED if distilled else (),
        pruned_by=pruned_by,
    )


TABLE1 = Table(
    id="sbs/table1",
    title="SBS, Table 1: test error of searched students",
    dataset="cifar10",
    metric=TEST_ERROR,
    columns=tuple(
        Column(
            WHOLE,
            dataset=dataset,
            method="kd" if distilled else "none",
            parameters=DISTILLED if distilled else (),
            label=f"{name},<br>{'distilled' if distilled else 'from scratch'}",
            setting=f"{name}, student {'distilled' if distilled else 'scratch'}",
        )
        for dataset, name in DATASETS.items()
        for distilled in (False, True)
    ),
    rows=(
        Row("teacher, DenseNet-BC(100, 12)", role="teacher"),
        Row("found by NP", pruned_by="sbs_np_unweighted", published="search loss NP"),
        Row("found by NP, weighted", pruned_by="sbs_np", published="search loss NP weighted"),
        Row("found by KL", pruned_by="sbs_kl_unweighted", published="search loss KD"),
        Row("found by KL, weighted", pruned_by="sbs_kl", published="search loss KD weighted"),
    ),
    recipe=SBS,
    search_recipe=SBS_SEARCH,
    seeds=5,
    leads=True,
    tolerance=0.5,
    published="sbs.csv",
    exhibit="table1",
    setting="",
    notes=(
        "NP is the cross-entropy between the plain outputs of the two networks, KL the divergence "
        "of the softened ones; weighted: every gate's penalty in proportion to the FLOPs that "
        "closing it saves.",
        "A search that ends before its budget of 90 of 296.5 M FLOPs is met gives a larger "
        "student; Figure 6 and the searches' records say which.",
    ),
)


VARIANTS = replace(
    TABLE1,
    id="sbs/variants",
    title="SBS: readings of what the paper leaves open, CIFAR-10",
    columns=TABLE1.columns[:2],
    rows=(
        Row("found by KL, weighted", pruned_by="sbs_kl"),
        Row("F: what the reader's own layers save", pruned_by="sbs_kl", search_parameters=READER),
        Row(
            "momentum of the gates (k - 2) / (k + 1)",
            pruned_by="sbs_kl",
            search_parameters=(("gate_momentum", "growing"),),
        ),
    ),
    notes=(
        "F_j, the FLOPs that closing a gate saves, is not defined further. As declared it counts "
        "all of them, also those of the layer that makes the channel where nobody else reads it. "
        "That is so for a few gates alone, which then set the largest F, by which all are divided.",
        "The momentum is fixed at 0.9 as in the code that the paper's optimiser comes from; a "
        "public explanation of the paper lets it grow.",
    ),
)

LOSSES = {
    "KL, weighted": "sbs_kl",
    "KL": "sbs_kl_unweighted",
    "NP, weighted": "sbs_np",
    "NP": "sbs_np_unweighted",
}


SEARCHES = Summary(
    id="sbs/searches",
    title="SBS: when the searches were over, who decided, and how alike their students are",
    dataset="cifar10",
    renderer="gates_summary",
    requests=tuple(
        (SearchKey(name, label), _search(dataset, search))
        for dataset, name in DATASETS.items()
        for label, search in LOSSES.items()
    ),
    caption=(
        "Two searches that find the same student say nothing about their losses: the penalty "
        "decided for both."
    ),
)


def _sizes() -> Iterator[tuple[SizeKey, StudentRequest | TeacherRequest]]:
    for dataset, name in DATASETS.items():
        teacher = TeacherRequest(dataset=dataset, network=TEACHER, recipe=SBS)
        yield SizeKey(name, NetworkRole.TEACHER, distilled=False), teacher
        for distilled in (False, True):
            searched = _students(dataset, pruned_by=_search(dataset), distilled=distilled)
            yield SizeKey(name, SEARCHED, distilled), searched
            for network in MANUAL:
                students = _students(dataset, network, distilled=distilled)
                yield SizeKey(name, network, distilled), students


FIGURE3 = Figure(
    id="sbs/figure3",
    title="SBS, Figure 3: test error against size",
    dataset="cifar10",
    renderer="size_figure",
    requests=tuple(_sizes()),
    caption=(
        "Test error against parameters (a) and FLOPs (b). Circles are trained from scratch, "
        "crosses are distilled. The paper finds every distilled student below its twin from "
        "scratch."
    ),
    notes=(
        "How the paper reduced VGG, GoogLeNet, ResNet, ShuffleNet-v2 and MobileNet-v2 is not "
        "printed; ours are in docs/zoo.md, within 5 % of 90 M FLOPs (or of 0.8 M parameters).",
        "FLOPs are multiply-adds of convolutions and linear layers, plus one for every element "
        "that a batch norm or ReLU puts out, which is how the paper's 296 M come about.",
    ),
)


def _search_and_student(
    value: float, search: SearchRequest
) -> tuple[tuple[SweepKey, SearchRequest], tuple[SweepKey, StudentRequest]]:
    """A search of a sweep and its distilled students, by their keys in the figures."""
    students = _students("cifar10", pruned_by=search)
    return (SweepKey(value), search), (SweepKey(value, students=True), students)


FIGURE4 = Figure(
    id="sbs/figure4",
    title="SBS, Figure 4: the divergence aimed at, and the student's test error, CIFAR-10",
    dataset="cifar10",
    renderer="correlation_figure",
    requests=tuple(
        keyed
        for share in KL0_SHARES
        for keyed in _search_and_student(
            share, _search("cifar10", "sbs_kl0", (("kl0_share", share),))
        )
    ),
    caption=(
        "The search's first term is the mean of |KL - kl0|. The paper finds that the smaller kl0 "
        "is, the better is the student that is found, with a correlation of 0.8896."
    ),
    options=(("x", "kl0_share"), ("published", 0.8896)),
    notes=(
        "The paper takes kl0 from 0 to the largest divergence met in training and does not name "
        "its values or its unit. Ours are even shares of the largest divergence on an image that "
        "the search by KL, weighted, met, in the unit of its loss: softened at temperature 4 and "
        "times 16. The kind of correlation is not named: Pearson's here.",
        "The paper does not say on which of the two data sets.",
    ),
)

FIGURE5 = Figure(
    id="sbs/figure5",
    title="SBS, Figure 5: channels removed from every connection",
    dataset="cifar10",
    renderer="drop_figure",
    requests=tuple(
        (f"{name}{reading}", _search(dataset, parameters=parameters))
        for reading, parameters in (("", ()), (", F of the reader", READER))
        for dataset, name in DATASETS.items()
    ),
    caption=(
        "Share of the channels of every connection that the search removed: rows are the layers "
        "that read, columns the layers that are read, one panel per dense block. The paper finds "
        "the third block almost whole."
    ),
    notes=(
        "The paper's legend says that 0 (white) is removed, its definition says removed channels "
        "over channels before; the definition is used.",
        "F of the reader: every gate pays what its own reader saves alone, see sbs/variants. What "
        "the penalty alone would remove, if the loss had no say, stands in the table: where it "
        "spares a block too, a gate's price and not the network's knowledge keeps it whole.",
    ),
)

FIGURE6 = Figure(
    id="sbs/figure6",
    title="SBS, Figure 6: the strength of the penalty, CIFAR-10",
    dataset="cifar10",
    renderer="penalty_figure",
    requests=tuple(
        keyed
        for value in LAMBDA2
        for keyed in _search_and_student(
            value, _search("cifar10", "sbs_kl", (("lambda_2", value),))
        )
    ),
    caption=(
        "Epochs that the search needs to meet its budget, and test error of the student that it "
        "finds. The paper finds that a small penalty takes longer and finds better students."
    ),
    notes=(
        "At scales whose searches are far shorter every value is raised by one factor, so that "
        "the first meets its budget near 80 % of the steps.",
    ),
)

EXHIBITS = (TABLE1, VARIANTS, SEARCHES, FIGURE3, FIGURE4, FIGURE5, FIGURE6)
