"""kdbench: reproducible knowledge distillation. `kdbench.load` opens an exported network."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdbench.runs.export import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """`load`, imported at its first use: it needs torch, which takes seconds to start."""
    if name != "load":
        raise AttributeError(f"module 'kdbench' has no attribute {name!r}")
    from kdbench.runs.export import load

    return load
