"""Every declared loss on pairs that no table has: it runs, or refuses with one line when built."""

from functools import cache

import pytest
import torch
from contract import CLASSES, COMPONENTS, EVERY, Scene, build, finite, network
from sampling import sampled

from kdbench.data.loaders.batch import Batch
from kdbench.errors import UserError

PAIRS = {  # teacher, student, side of the images: the smallest of each family
    "resnet to vgg": ("resnet8", "vgg8", 16),
    "wrn to mobilenet": ("wrn-10-1", "mobilenet-v2-0.5", 32),
    "densenet to resnet": ("densenet-bc-10-12", "resnet8", 16),
    "googlenet to shufflenet": ("googlenet", "shufflenet-v1", 16),
    "pyramidnet to wrn": ("pyramidnet-20-12", "wrn-10-1", 16),
    "vit to resnet": ("vit-ti-16", "resnet18", 64),
    "deit to resnet": ("deit-tiny", "resnet18", 48),
    "resnet to mobilenet at 64": ("resnet34", "mobilenet-v1", 64),
    "resnet to vit": ("resnet8", "vit-ti-16", 32),
}
# The quick ones; the others say the same of larger networks.
SMALL = {
    "resnet to vgg",
    "wrn to mobilenet",
    "densenet to resnet",
    "pyramidnet to wrn",
    "resnet to vit",
}
# Pairs that the methods of a module refuse when built, with words of the line that says so.
REFUSED = {
    ("dfa", "resnet to vgg"): "as many in both",
    ("dfa", "wrn to mobilenet"): "as many in both",
    ("dfa", "googlenet to shufflenet"): "maps of one shape",
    ("dfa", "pyramidnet to wrn"): "maps of one shape",
    ("dfa", "resnet to vit"): "as many in both",
}
SILENT = {"rkd"}  # one distance is its own mean and no angle is left: two images say nothing


@cache
def looked(pair):
    """Both networks, and what two images show; losses differentiate in copies of the maps."""
    teacher, student, side = PAIRS[pair]
    nets = network(teacher, side).requires_grad_(False), network(student, side)
    images = torch.randn(2, 3, side, side).requires_grad_()
    batch = Batch(images, torch.arange(2) % CLASSES, torch.arange(2))
    theirs, ours = (net.train().read(images) for net in nets)
    leaves = [ours.logits, ours.pooled, *ours.pre, *ours.post, *ours.out]
    return nets, batch, theirs, ours, leaves


# The pair is the outer loop, so that the networks of one pair are built once.
@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("pair", sampled(PAIRS, SMALL))
def test_any_two_networks_fit_or_are_refused_in_one_line(pair, method):
    """Where they fit, terms and gradients are finite, and the gradients reach the student."""
    (teacher, student), batch, theirs, ours, leaves = looked(pair)
    refusal = COMPONENTS.get("method", method, where="contract").family, pair
    if refusal in REFUSED:
        with pytest.raises(UserError, match=REFUSED[refusal]) as refused:
            build(method, student, teacher)
        assert "\n" not in str(refused.value)
        return
    loss = build(method, student, teacher)
    seen = Scene(ours, theirs, batch, [*leaves, student.classifier.weight])
    terms = seen.terms(loss)
    slopes = seen.slopes(loss, terms)
    reached = [x for x in slopes[: len(seen.leaves)] if x is not None]

    assert finite(terms.values())
    assert finite(slopes)
    assert not terms or reached
    assert not terms or method in SILENT or any(x.any() for x in reached)
