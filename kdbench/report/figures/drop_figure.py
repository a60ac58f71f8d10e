"""Draws the channels that a search removed: one matrix per dense block, over a bar for its end."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from kdbench.exhibits import tables as exhibits
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import STYLE, matrix, sheet
from kdbench.report.presentation import Presentation, TextTable
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.dropped import (
    INPUT,
    Block,
    Counts,
    rates,
    read_alone,
    read_blocks,
    share,
)
from kdbench.report.readings.records import FinishedRuns
from kdbench.report.readings.sweep import Budget, read_budget

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Blocks = Mapping[str, Mapping[int, Block]]  # by search
Alone = Mapping[str, Mapping[int, Block] | None]  # by search, as the penalty alone leaves them
SHADES = "Greys"  # removed is black; the only scale whose order nobody can mistake
PANEL, MARGIN = 2.9, 1.2  # inches
MOST_WRITTEN = 6  # layers of a block into whose cells the rates are still written


def render(figure: exhibits.Figure, graph: Graph, runs: FinishedRuns) -> Presentation:
    """Drop rates, and every block's totals."""
    blocks = {str(key): read_blocks(record) for key, (_, record) in runs.items()}
    alone = {str(key): read_alone(record) for key, (_, record) in runs.items()}
    budgets = {str(key): read_budget(record) for key, (_, record) in runs.items()}
    return Presentation(
        numbers=frame(blocks),
        table=table(blocks, alone),
        draw=partial(draw, blocks, figure.title, notice_of(graph)),
        notes=(remaining(budgets),),
    )


def end_name(blocks: Mapping[int, Block], block: int) -> str:
    """What reads a block when it is done."""
    return "classifier" if block == max(blocks) else f"transition {block}"


def table(by_dataset: Blocks, alone: Alone) -> TextTable:
    """Drop rates of every block's layers and end, and of its layers by the penalty alone."""
    lines = []
    for name, blocks in by_dataset.items():
        for number, block in blocks.items():
            end = f"{end_name(blocks, number)}: {share(block.end.values()):.3f}"
            gone = sum(share(counts.values()) == 1 for counts in block.layers.values())
            layers = f"{gone} of {len(block.layers)}"
            by_penalty = alone[name]
            forced = "" if by_penalty is None else f"{by_penalty[number].dropped():.3f}"
            lines.append([name, str(number), f"{block.dropped():.3f}", forced, layers, end])
    heads = ["search", "dense block", "removed of what layers read", "by the penalty alone"]
    heads += ["layers gone", "end"]
    return TextTable(heads, lines)


def remaining(budgets: Mapping[str, Budget]) -> str:
    """The operations that are left, and whether the budget was met; a sentence per data set."""
    met = {True: "the budget was met", False: "the budget was NOT met"}
    return " ".join(
        f"{name}: {budget.flops:.1f} M FLOPs are left; {met[budget.met]}."
        for name, budget in budgets.items()
    )


def frame(by_dataset: Blocks) -> "pd.DataFrame":
    """One line per connection."""
    import pandas as pd

    lines = []
    for name, blocks in by_dataset.items():
        for number, block in blocks.items():
            readers: dict[str, Counts] = {str(i + 1): c for i, c in sorted(block.layers.items())}
            readers[end_name(blocks, number)] = block.end
            for reader, counts in readers.items():
                for source, (before, after) in sorted(counts.items()):
                    layer = "input" if source == INPUT else str(source + 1)
                    ids = {"dataset": name, "block": number, "reader": reader, "source": layer}
                    lines.append({**ids, "before": before, "after": after})
    connections = pd.DataFrame(lines)
    rate = 1 - connections["after"] / connections["before"]
    return connections.assign(drop_rate=rate)


def draw(by_dataset: Blocks, title: str, banner: str) -> "Figure":
    """Panels labelled `<data set>, block <number>`, bars the same with `, end`."""
    from matplotlib.style import context

    widest = max(len(blocks) for blocks in by_dataset.values())
    with context(["default", STYLE]):
        size = (PANEL * widest + MARGIN, (PANEL + MARGIN) * len(by_dataset))
        figure = sheet(*size, title, banner)
        grid = figure.subplots(
            2 * len(by_dataset), widest, squeeze=False, height_ratios=[10, 1] * len(by_dataset)
        )
        for axes in grid.flat:
            axes.set_visible(False)
        for row, (name, blocks) in enumerate(by_dataset.items()):
            for column, (number, block) in enumerate(blocks.items()):
                panel, bar = grid[2 * row, column], grid[2 * row + 1, column]
                label = f"{name}, block {number}"
                _panel(panel, block, label)
                _bar(bar, block, label, end_name(blocks, number))
                if not column:
                    panel.set_ylabel("layer that reads")
        mesh = grid[0, 0].collections[0]
        figure.colorbar(mesh, ax=list(grid.flat), label="drop rate (1: removed)", fraction=0.03)
    return figure


def _panel(axes: "Axes", block: Block, label: str) -> None:
    layers = sorted(block.layers)
    matrix(axes, block.rates(), colours=SHADES, form=_form(block))
    axes.set_visible(True)
    axes.set_label(label)
    axes.set_title(label, fontsize="medium")
    step = 1 if len(layers) <= MOST_WRITTEN else 5
    axes.set_yticks(range(0, len(layers), step), [str(layers[i] + 1) for i in layers[::step]])
    axes.set_xticks([])


def _bar(axes: "Axes", block: Block, label: str, end: str) -> None:
    matrix(axes, [rates(block.end)], colours=SHADES, form=_form(block))
    axes.set_visible(True)
    axes.set_label(f"{label}, end")
    axes.set_yticks([0], [end], fontsize="x-small")
    sources = sorted(block.end)
    names = ["in" if source == INPUT else str(source + 1) for source in sources]
    step = 1 if len(names) <= MOST_WRITTEN + 1 else 5
    ticks = [0, *range(1, len(names), step)]
    axes.set_xticks(ticks, [names[i] for i in ticks])
    axes.set_xlabel("layer that is read")


def _form(block: Block) -> str:
    return "{:.2f}" if len(block.layers) <= MOST_WRITTEN else ""
