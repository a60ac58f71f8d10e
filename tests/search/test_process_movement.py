"""How DistPro's process spreads over a search whose learning rate falls."""

from functools import cache

import build_search
import pytest
import torch
import torch.nn.functional as F
from build_search import build
from sklearn.datasets import load_digits

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.engine.schedules import rate_at
from kdbench.exhibits.protocols import DISTPRO_SEARCH
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.search.searcher import SearchBatch

SIX = {"transforms": ["2conv"], "connections": "downward"}
DIGITS = {"classes": 10, "image": (3, 8, 8)}


def digit_images():
    """Scikit-learn's digits and their labels, normalised, three channels."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None].expand(-1, 3, -1, -1)
    return (images - images.mean()) / images.std(), torch.tensor(digits.target)


def drawn(digits, seed, count=16):
    """A batch of digits; of validation, one from the last 300."""
    images, labels = digits
    low, high = (0, 1400) if seed < 1000 else (1400, len(labels))
    index = torch.randint(low, high, (count,), generator=torch.Generator().manual_seed(seed))
    return Batch(images[index], labels[index], index)


@cache
def trained_teacher():
    """One that knows digits a little: 60 steps."""
    torch.manual_seed(0)
    teacher, digits = WideResNet(10, 2, **DIGITS), digit_images()
    optimiser = torch.optim.SGD(teacher.parameters(), 0.05, momentum=0.9)
    for step in range(60):
        batch = drawn(digits, step, 32)
        optimiser.zero_grad()
        F.cross_entropy(teacher(batch.images), batch.labels).backward()
        optimiser.step()
    return teacher.eval()


def movement(scheme):
    """Share of the process's movement that each of its quarters holds: sums of absolute changes."""
    changes = scheme.weights.diff(dim=0).abs().sum(1)
    quarters = torch.stack([part.sum() for part in changes.tensor_split(4)])
    return quarters / quarters.sum()


def short_search(**options):
    """A search of 32 steps on digits as lite declares it; the rate falls tenfold every 8."""
    teacher, student, digits = trained_teacher(), WideResNet(10, 1, **DIGITS), digit_images()
    declared = {**build_search.declaration("distpro")["lite"], **SIX, **options}
    search = build("distpro", student, teacher, **declared)
    recipe = DISTPRO_SEARCH.shortened(32)
    for step in range(32):
        search.lr = rate_at(recipe, step, 1)
        train, validation = (drawn(digits, step + seed) for seed in (0, 1000))
        with torch.no_grad():
            given = SearchBatch(train, teacher.read(train.images)), SearchBatch(validation)
        search.step(*given, TrainingPosition(step, 32, step, 32))
    return search.finding()


@pytest.mark.slow
def test_every_quarter_of_a_short_search_holds_a_tenth_of_its_movement():
    """The rate's fall does not end the process early, at either scale of short searches."""
    declared = build_search.declaration("distpro")
    assert declared["smoke"] == declared["lite"]
    assert movement(short_search()).min() >= 0.1


def test_the_step_s_factor_stops_a_short_process_early():
    """What the scales' own value is there for: with the factor the second half hardly moves."""
    assert movement(short_search(scale_free=False))[2:].sum() < 0.1
