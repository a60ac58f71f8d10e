"""Counts the multiply-adds that a piece of training really does, backward passes included."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class MultiplyAdds(TorchDispatchMode):
    """Counts the multiply-adds of convolutions and matrix products of all that runs inside.

    Attributes:
        macs: so far; what no rule of PyTorch's knows (norms, activations, sums) counts nothing.

    >>> import torch
    >>> with MultiplyAdds() as counted:
    ...     _ = torch.ones(2, 3) @ torch.ones(3, 5)
    >>> counted.macs
    30
    """

    def __init__(self) -> None:
        from torch.utils.flop_counter import flop_registry  # a tenth of a second

        super().__init__()
        self.macs = 0
        self._rules = flop_registry

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do what is asked for, and count it."""
        found = func(*args, **(kwargs or {}))
        rule = self._rules.get(func.overloadpacket)
        if rule is not None:
            self.macs += rule(*args, **(kwargs or {}), out_val=found) // 2
        return found
