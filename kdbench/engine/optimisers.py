"""The optimiser of a training, as its recipe says."""

import torch
from torch import nn

from kdbench.exhibits.recipe import Recipe


def make_optimiser(recipe: Recipe, *modules: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters of the modules."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )
