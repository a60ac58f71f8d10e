"""What a pruning plan leaves of a network, in the numbers that a search's record holds."""

from typing import Any

from torch.nn import Conv2d, Linear

from kdbench.models.pruning.channel_layout import Cut, Layout, Plan


def pruning_summary(layout: Layout, plan: Plan) -> dict[str, Any]:
    """Sizes of the whole network and of what is left, and where it was cut.

    Args:
        layout: of the whole network.
        plan: what is left of it.

    Returns:
        "before" and "after": `multiply_adds`, `flops_with_elements` (one more for every element
        that norms and ReLUs put out) and `parameters`; "readers": by reader, channels "before" and
        "after" and "dropped", the share removed; "connections": by reader, by maker of what it
        reads, [before, after].
    """
    readers: dict[str, dict[str, float]] = {}
    for reader in layout.sources:
        mask = plan.kept[reader]
        before, after = len(mask), int(mask.sum())
        readers[reader] = {"before": before, "after": after, "dropped": 1 - after / before}
    whole = layout.plan(layout.open())
    sizes = {"before": _sizes(layout, whole), "after": _sizes(layout, plan)}
    return {**sizes, "readers": readers, "connections": connections(layout, plan)}


def connections(layout: Layout, plan: Plan) -> dict[str, dict[str, list[int]]]:
    """By reader, by maker of what it reads: channels before, and those that a plan leaves."""
    counts: dict[str, dict[str, list[int]]] = {}
    for reader, sources in layout.sources.items():
        mask, start = plan.kept[reader], 0
        counts[reader] = {}
        for maker, count in sources:
            counts[reader][maker] = [count, int(mask[start : start + count].sum())]
            start += count
    return counts


def _sizes(layout: Layout, plan: Plan) -> dict[str, int]:
    """What a plan leaves, counted."""
    products, elements = layout.operations(plan)
    counts = (_parameters(layout, cut) for cut in plan.cuts)
    return {
        "multiply_adds": products,
        "flops_with_elements": products + elements,
        "parameters": sum(counts),
    }


def _parameters(layout: Layout, cut: Cut) -> int:
    """Trainable numbers that a layer keeps."""
    layer = layout.network.get_submodule(cut.path)
    reads, writes = int(cut.reads.sum()), int(cut.writes.sum())
    if not isinstance(layer, Conv2d | Linear):
        return 2 * reads  # a batch norm's factors and shifts
    kernel = layer.weight[0, 0].numel() if isinstance(layer, Conv2d) else 1
    return reads * writes * kernel + (writes if layer.bias is not None else 0)
