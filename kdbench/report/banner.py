"""What stands over every exhibit: whether its numbers may be compared with the published ones."""

from dataclasses import fields

from kdbench.plan.exhibits import Row
from kdbench.plan.graph import Graph
from kdbench.plan.scales import SCALES, Scale

# Settings that leave the protocol as published: how exactly and how often it is run.
HARMLESS = frozenset(
    {"name", "notice", "precision", "channels_last", "threads", "cell_jobs"}
) | frozenset({"seeds", "lead_seeds"})


def banner(graph: Graph) -> str:
    """The notice of the scale, and of settings that params.yaml changes; "" where none applies."""
    changes = changed_settings(graph.scale)
    sentences = [graph.scale.notice] if graph.scale.notice else []
    if changes:
        tail = "" if graph.scale.notice else "; the numbers are NOT comparable with published ones"
        sentences.append(
            f"params.yaml changes scale {graph.scale.name}: {', '.join(changes)}{tail}."
        )
    overrides = changed_parameters(graph)
    if overrides:
        sentences.append(f"params.yaml overrides {', '.join(overrides)}.")
    return " ".join(sentences)


def comparable(graph: Graph, row: Row | None = None) -> bool:
    """Whether verdicts apply: the protocol, and the row's method, are as published."""
    if graph.scale.notice or changed_settings(graph.scale):
        return False
    if row is None or row.method is None:
        return True
    search = graph.components.get("method", row.method, where="exhibits").search
    return not graph.params.methods.get(row.method) and not graph.params.searches.get(search or "")


def changed_settings(scale: Scale) -> list[str]:
    """Settings that make a scale another protocol than the one of its name, `name = value`."""
    original = SCALES[scale.name]
    names = [field.name for field in fields(Scale) if field.name not in HARMLESS]
    return [
        f"{name} = {getattr(scale, name)}"
        for name in names
        if getattr(scale, name) != getattr(original, name)
    ]


def changed_parameters(graph: Graph) -> list[str]:
    """Overridden parameters of methods and searches, `methods.kd.temperature = 2.0`."""
    kinds = {"methods": graph.params.methods, "searches": graph.params.searches}
    return [
        f"{kind}.{name}.{key} = {value}"
        for kind, components in kinds.items()
        for name, parameters in sorted(components.items())
        for key, value in sorted(parameters.items())
    ]


def quoted(text: str) -> str:
    """A banner as a bold Markdown quotation; "" stays ""."""
    return f"> **{text}**\n\n" if text else ""
