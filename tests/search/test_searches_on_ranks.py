"""Steps of every search on several ranks against those of one process, in float64."""

import dfa_runs
import pytest
import sbs_runs
import torch
from build_search import build
from on_ranks import on_ranks
from torch import randn

from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.order import Part
from kdbench.engine import ranks
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.synchronised_norms import SynchronisedNorms
from kdbench.exhibits.protocols import CRD
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.runs.assemble import Teacher
from kdbench.runs.search import SearchStep

IMAGES, STEPS = 8, 2
SEARCHES = {
    "distpro-exact": ("distpro", {"gradient": "exact"}),
    "distpro-difference": ("distpro", {"gradient": "finite-difference"}),
    "distpro-first-order": ("distpro", {"gradient": "first-order"}),
    "dfa-first-order": ("dfa", {"losses": "bridge"}),
    "dfa-second-order": ("dfa", {"order": "second"}),
    "dfa-exact": ("dfa", {"order": "second", "gradient": "exact"}),
    "sbs": ("sbs", {}),
}


def part_of_batch(number):
    """This rank's images of eight."""
    rng = torch.Generator().manual_seed(number)
    images = randn(IMAGES, 3, 8, 8, generator=rng)
    whole = images, torch.randint(5, (IMAGES,), generator=rng), torch.arange(IMAGES)
    own = Part(ranks.at_work().rank, ranks.size()).of(IMAGES)
    return Batch(*(tensor[own] for tensor in whole))


class HeldOut:
    """A loader of validation batches, one per epoch."""

    steps = 1

    def batch(self, epoch, step):
        """This rank's part."""
        return part_of_batch(1000 + epoch)


def start(name, options):
    """A teacher and a search that has not begun."""
    if name == "distpro":
        torch.manual_seed(0)
        small = {"classes": 5, "image": (3, 8, 8)}
        teacher, student = WideResNet(10, 2, **small), WideResNet(10, 1, **small)
        space = {"transforms": ["complex", "2conv"], "connections": "downward"}
        return teacher, build("distpro", student, teacher, **space, **options)
    return {"dfa": dfa_runs.start, "sbs": sbs_runs.start}[name](**options)


def searched(names, mode):
    """Every tensor that the steps of each search leave, by search and name."""
    left = {}
    for label in names:
        name, options = SEARCHES[label]
        teacher, search = start(name, options)
        precision = Precision("float32", False, torch.device("cpu"))
        looking = Teacher(teacher, mode)
        step = SearchStep(search, looking, HeldOut(), CRD, 10, precision)
        with SynchronisedNorms():
            for number in range(STEPS):
                step(part_of_batch(number), TrainingPosition(number, STEPS, 0, 1))
        ranks.require_alike(search.state_dict(), label)
        left[label] = {k: v.clone() for k, v in ranks._tensors(search.state_dict(), "")}
    return left


def furthest(names, size, mode):
    """The largest difference of ranks and one process, by search and tensor."""
    (expected,) = on_ranks(1, searched, names, mode)
    found, *_ = on_ranks(size, searched, names, mode)
    return {
        f"{label} {name}": float((found[label][name] - value).abs().max())
        for label, tensors in expected.items()
        for name, value in tensors.items()
        if value.numel()
    }


def test_two_ranks_search_what_one_process_searches(float64):
    """DistPro's exact way: alphas, weights and momenta; the teacher on batch statistics."""
    by_tensor = furthest(["distpro-exact"], 2, "batch")

    assert any(name.endswith("alphas") for name in by_tensor)
    assert max(by_tensor.values()) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_every_search_ends_alike_on_any_number_of_ranks(float64, size):
    """By difference, exactly, in first and second order; gates too."""
    by_tensor = furthest(list(SEARCHES), size, "eval")
    far = {name: difference for name, difference in by_tensor.items() if difference > 1e-5}

    assert not far
