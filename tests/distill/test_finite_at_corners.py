"""Every method's terms and gradients are finite at the corners of its declared ranges.

The corners are the smallest and the largest values that params.yaml may set, alone and together,
on the inputs that spoil formulas in practice: a student that equals its teacher, dead maps, logits
of untrained or diverging networks, batches of one image. All in float32, as runs compute.
"""

from dataclasses import fields

import pytest
import torch
from contract import (
    CLASSES,
    COMPONENTS,
    CPU,
    EVERY,
    LABELS,
    PAIR,
    Scene,
    few_pathways,
    finding,
    finite,
    network,
    scene,
)
from typed_runs import method_part

from kdbench.models.stages import Features
from kdbench.runs import assemble

# Parameters whose largest value costs memory or time, and no method more arithmetic than its
# smallest: sizes of connectors and memories, lengths of first parts and of virtual trainings.
SIZES = {"dimension", "negatives", "first_epochs", "first_of", "virtual_steps"}
# Methods that PyTorch refuses a batch of one image, with the reason.
# They have a batch norm on maps of one place, which then sees one value each.
NO_SINGLE = ("reviewkd", "reviewkd_imagenet")
HUGE = 1e4  # logits of a network whose running statistics are far off


@pytest.fixture(scope="module")
def nets():
    """Teacher and student of unequal widths; no test changes them."""
    return network(PAIR[0]), network(PAIR[1])


def corners(method):
    """Changed parameters: each range's ends alone, then all smallest and all largest."""
    declared = COMPONENTS.get("method", method, where="corners").declaration
    known = declared.ranges
    ends = {key: bounds for key, bounds in known.items() if key not in ("task_weight", *SIZES)}
    alone = [{key: value} for key, bounds in ends.items() for value in bounds]
    smallest = [{key: known[key][0]} for key in SIZES & known.keys()]
    together = [{key: bounds[end] for key, bounds in ends.items()} for end in (0, 1)]
    kinds = {key: type(value) for key, value in declared.defaults.items()}
    distinct = {repr(c): c for c in ({}, *alone, *smallest, *together)}
    return [{k: kinds[k](v) for k, v in corner.items()} for corner in distinct.values()]


def build(method, student, teacher, changes):
    """A method's loss in train mode with some parameters replaced."""
    few = few_pathways(method)
    given = method_part(method, **few, **changes)
    scheme = finding(method, student, teacher, **few)
    extra = {} if scheme is None else {"scheme": scheme}
    if assemble.find_loss(given).takes_labels():
        extra["labels"] = torch.arange(LABELS) % CLASSES
    needs = COMPONENTS.get("method", method, where="corners").needs_teacher
    loss, _ = assemble.make_loss(given, student, teacher if needs else None, 0, CPU, **extra)
    return loss.train()


def flat(x):
    """Zeros that keep the graph."""
    return 0 * x


def changed(**by_side):
    """A scene maker's `change`: what stands for a side, or everything of it as it is."""
    return lambda of, x: by_side[of](x) if of in by_side else x


def huge(x):
    """Logits, which alone have as many columns as there are classes, times a factor."""
    return HUGE * x if x.ndim == 2 and x.shape[1] == CLASSES else x


CASES = {
    "noise": {},
    "student 0": {"change": changed(student=flat)},
    "teacher 0": {"change": changed(teacher=flat)},
    "both 0": {"change": changed(student=flat, teacher=flat)},
    "huge logits": {"change": changed(student=huge, teacher=huge)},
    "huge logits of the student": {"change": changed(student=huge)},
    "equal images": {"change": changed(images=lambda x: x[:1].expand_as(x).clone())},
    "two images": {"count": 2},
    "one image": {"count": 1},
}


def equal_features(net):
    """A student that says what its teacher says, map for map."""
    seen = scene(net, net)
    values = {f.name: getattr(seen.student, f.name) for f in fields(Features)}
    copies = {name: _detached(value) for name, value in values.items()}
    if seen.batch.images.requires_grad:  # losses that differentiate in the images
        copies["logits"] = seen.student.logits
    return Scene(seen.student, Features(**copies), seen.batch, seen.leaves)


def _detached(value):
    """The same numbers without a graph, whatever holds them."""
    if isinstance(value, list):
        return [_detached(x) for x in value]
    return None if value is None else value.detach()


@pytest.mark.parametrize("method", EVERY)
def test_gradients_are_finite_at_every_corner(nets, method):
    """At all corners, on all inputs; the message says where one is not."""
    teacher, student = nets
    cases = {k: v for k, v in CASES.items() if k != "one image" or method not in NO_SINGLE}
    scenes = {name: scene(student, teacher, **case) for name, case in cases.items()}
    wrong = []
    for changes in corners(method):
        loss = build(method, student, teacher, changes)
        wrong += [f"{changes}: {name}" for name, seen in scenes.items() if not sound(loss, seen)]
        alike = build(method, teacher, teacher, changes)
        if not sound(alike, equal_features(teacher)):
            wrong.append(f"{changes}: student equals teacher")
    assert not wrong, "\n".join(wrong)


def sound(loss, seen):
    """Whether terms, gradients and all that the loss keeps are finite after a step."""
    terms = seen.terms(loss)
    kept = [value for value in loss.state_dict().values() if value.is_floating_point()]
    return finite(terms.values()) and finite(seen.slopes(loss, terms)) and finite(kept)


@pytest.mark.parametrize("method", NO_SINGLE)
def test_a_batch_of_one_image_is_refused_for_a_reason(nets, method):
    """A method that has come to take one leaves the list."""
    teacher, student = nets
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        sound(build(method, student, teacher, {}), scene(student, teacher, count=1))


def test_every_range_has_corners():
    """Both ends of each, and nothing that a declaration does not let pass."""
    assert {"temperature": 0.001} in corners("kd") and {"temperature": 1000.0} in corners("kd")
    assert {"temperature": 1000.0, "weight": 1e9} in corners("kd")
    assert {"dimension": 1} in corners("cc") and {"dimension": 65536} not in corners("cc")
