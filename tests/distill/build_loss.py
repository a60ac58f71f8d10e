"""Losses with the parameters that their declarations give at the paper's scale."""

from kdbench.plan.components import find_components

ASSEMBLERS = {"task_weight", "teacher_bn"}  # what a run keeps for itself


def build_loss(cls, student, teacher, *, declaration=None, **changes):
    """A loss of this class with declared defaults, some of them replaced.

    Args:
        cls: the loss's class.
        student: the network that learns, or None where the loss looks at no network.
        teacher: the other network, or None.
        declaration: which declared method; None for the one named like the class's module.
        **changes: replaced parameters, and `labels` or `scheme`.
    """
    name = declaration or cls.__module__.rpartition(".")[2]
    method = find_components().get("method", name, where="test")
    assert (method.module, method.class_name) == (cls.__module__, cls.__name__)
    declared = method.parameters(scale="paper", pair="", overrides={}, where="test")
    parameters = {key: v for key, v in declared.items() if key not in ASSEMBLERS}
    return cls(student, teacher, **{**parameters, **changes})
