"""What the SBS paper says beyond its numbers."""

from kdbench.exhibits.claims import (
    BlockDropped,
    Claim,
    ColumnsAbove,
    DearestRemoved,
    Elsewhere,
    ErrorRises,
    ErrorsApart,
    FewerParameters,
    LastLayerRead,
    NoneBestEverywhere,
    RowsAbove,
    RunsAbove,
    SmallestBest,
    SomeRunsAbove,
    Thresholds,
)
from kdbench.exhibits.keys import SizeKey
from kdbench.papers.sbs import DATASETS, MANUAL, SEARCHED

LIGHT = ("shufflenet-v2-sbs", "mobilenet-v2-sbs")

_FOUND_AND_BY_HAND = tuple(
    (SizeKey(name, SEARCHED, distilled=True), SizeKey(name, network, distilled=True))
    for name in DATASETS.values()
    for network in MANUAL
)
_HEAVY = tuple(
    (name, network)
    for name in DATASETS.values()
    for network in MANUAL
    if name != "CIFAR-100" or network not in LIGHT
)

# The same four losses in a network that is no DenseNet.
_IN_A_WRN = Elsewhere(
    "ours/losses",
    tuple(
        (row, row)
        for row in (
            "found by NP",
            "found by NP, weighted",
            "found by KL",
            "found by KL, weighted",
        )
    ),
)
_TRAININGS_OF_IT = Elsewhere(
    "ours/losses",
    (
        ("CIFAR-100, student distilled", "found in WRN-40-2,<br>distilled"),
        ("CIFAR-100, student scratch", "found in WRN-40-2,<br>from scratch"),
    ),
)

CLAIMS = (
    Claim(
        id="sbs/distilled",
        text="Every distilled student is better than its twin from scratch.",
        where="Figure 3",
        exhibits=("sbs/figure3",),
        check=RunsAbove(
            tuple(
                (SizeKey(name, network, distilled=True), SizeKey(name, network, distilled=False))
                for name in DATASETS.values()
                for network in (SEARCHED, *MANUAL)
            )
        ),
    ),
    Claim(
        id="sbs/distilled-found",
        text="Every searched student is better distilled than from scratch, whatever the search.",
        where="Table 1",
        exhibits=("sbs/table1",),
        check=ColumnsAbove(
            tuple(
                (f"{name}, student distilled", f"{name}, student scratch")
                for name in DATASETS.values()
            )
        ),
        elsewhere=(_TRAININGS_OF_IT,),
    ),
    Claim(
        id="sbs/weighted",
        text="A penalty weighted by what a gate saves finds better students.",
        where="Table 1",
        exhibits=("sbs/table1",),
        check=RowsAbove(
            (("found by NP, weighted", "found by NP"), ("found by KL, weighted", "found by KL"))
        ),
        elsewhere=(_IN_A_WRN,),
    ),
    Claim(
        id="sbs/kl",
        text="Weighted, the softened divergence finds better students than network pruning's loss.",
        where="Table 1",
        exhibits=("sbs/table1",),
        check=RowsAbove((("found by KL, weighted", "found by NP, weighted"),)),
        elsewhere=(_IN_A_WRN,),
    ),
    Claim(
        id="sbs/found-from-scratch",
        text="From scratch, too, the searched student is better than those made by hand "
        "(ShuffleNet-v2 and MobileNet-v2 on CIFAR-100 apart).",
        where="Figure 3",
        exhibits=("sbs/figure3",),
        check=RunsAbove(
            tuple(
                (SizeKey(name, SEARCHED, distilled=False), SizeKey(name, network, distilled=False))
                for name, network in _HEAVY
            )
        ),
    ),
    Claim(
        id="sbs/distilled-found-best",
        text="Distilled, the searched student is better than those made by hand "
        "(ShuffleNet-v2 and MobileNet-v2 on CIFAR-100 apart).",
        where="Figure 3",
        exhibits=("sbs/figure3",),
        check=RunsAbove(
            tuple(
                (SizeKey(name, SEARCHED, distilled=True), SizeKey(name, network, distilled=True))
                for name, network in _HEAVY
            )
        ),
    ),
    Claim(
        id="sbs/most-at-equal-flops",
        text="At equal FLOPs the searched student is better than most students made by hand.",
        where="Figure 3",
        exhibits=("sbs/figure3",),
        check=SomeRunsAbove(_FOUND_AND_BY_HAND, least=len(_FOUND_AND_BY_HAND) // 2 + 1),
    ),
    Claim(
        id="sbs/fewest-parameters",
        text="The searched student has the fewest parameters.",
        where="Figure 3",
        exhibits=("sbs/figure3",),
        check=FewerParameters(_FOUND_AND_BY_HAND),
    ),
    Claim(
        id="sbs/spread-at-equal-size",
        text="Students of equal FLOPs differ widely in accuracy.",
        where="Figure 3",
        exhibits=("sbs/figure3",),
        check=ErrorsApart(
            tuple(
                tuple(SizeKey(name, network, distilled=False) for network in MANUAL)
                for name in DATASETS.values()
            ),
            Thresholds(holds=1.0, fails=0.5),
        ),
    ),
    Claim(
        id="sbs/no-winner-everywhere",
        text="No student is the best on both data sets.",
        where="Figure 3",
        exhibits=("sbs/figure3",),
        check=NoneBestEverywhere(
            tuple(
                tuple(SizeKey(name, network, distilled=True) for name in DATASETS.values())
                for network in (SEARCHED, *MANUAL)
            )
        ),
    ),
    Claim(
        id="sbs/light-networks",
        text="On CIFAR-100 ShuffleNet-v2 and MobileNet-v2, distilled, beat the searched student at "
        "equal FLOPs.",
        where="Figure 3",
        exhibits=("sbs/figure3",),
        check=RunsAbove(
            tuple(
                (
                    SizeKey("CIFAR-100", network, distilled=True),
                    SizeKey("CIFAR-100", SEARCHED, distilled=True),
                )
                for network in LIGHT
            )
        ),
    ),
    Claim(
        id="sbs/kl0",
        text="The smaller the divergence aimed at, the better is the student that is found.",
        where="Figure 4",
        exhibits=("sbs/figure4",),
        check=ErrorRises("kl0_share"),
    ),
    Claim(
        id="sbs/third-block",
        text="The third dense block stays almost whole (which alpha may force alone).",
        where="Figure 5",
        exhibits=("sbs/figure5",),
        check=BlockDropped(3, Thresholds(holds=0.1, fails=0.3)),
    ),
    Claim(
        id="sbs/last-layer",
        text="No connection into the last layer of the third dense block vanishes.",
        where="Figure 5",
        exhibits=("sbs/figure5",),
        check=LastLayerRead(3, Thresholds(holds=0, fails=1)),
    ),
    Claim(
        id="sbs/dearest",
        text="What is removed is what costs most.",
        where="Figure 5",
        exhibits=("sbs/figure5",),
        check=DearestRemoved(Thresholds(holds=0.5, fails=0.2)),
    ),
    Claim(
        id="sbs/penalty",
        text="A small penalty takes longer and finds better students.",
        where="Figure 6",
        exhibits=("sbs/figure6",),
        check=SmallestBest("lambda_2"),
    ),
)
