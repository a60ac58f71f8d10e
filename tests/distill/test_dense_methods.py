"""Losses of networks that give an output for every pixel."""

import pytest
import torch
import torch.nn.functional as F
from sampling import sampled

from kdbench.data.loaders.batch import Batch
from kdbench.distill.ifvd import ifvd, variation
from kdbench.distill.kd_depth import kd_depth
from kdbench.distill.kd_pixel import kd_pixel
from kdbench.distill.sckd import per_row
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.pspnet import PSPNet
from kdbench.models.families.sparse_to_dense import SparseToDense
from kdbench.plan.components import find_components
from kdbench.runs.assemble import find_class

pytestmark = pytest.mark.usefixtures("float64")
COMPONENTS = find_components()


def without_search(task):
    """The methods that are made for a task and need no search."""
    every = (COMPONENTS.get("method", name, where="test") for name in COMPONENTS.names("method"))
    return [one.name for one in every if task in one.declaration.tasks and one.search is None]


SEGMENTING, MEASURING = without_search("segmentation"), without_search("depth")
# What an issue asked for, and a few of those that read one map or one vector.
EXPECTED = {"none", "kd_pixel", "ifvd", "sckd", "reviewkd", "equal", "at", "fitnet", "ofd", "vid"}
OF_DEPTH = {"none", "kd_depth", "reviewkd", "equal", "at", "fitnet", "ofd", "vid"}
SHAPE = (3, 16, 24)
DEEP = (4, 40, 48)  # a last map of 2 x 2


def masks(seed=0):
    """Classes of five, a fifth of the pixels ignored."""
    rng = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, 5, (4, *SHAPE[1:]), generator=rng)
    drawn[torch.rand(drawn.shape, generator=rng) < 0.2] = 255
    return drawn


def slow_variation(features, labels):
    """Class by class and pixel by pixel."""
    out = torch.ones(labels.shape, dtype=features.dtype)
    for b in range(len(features)):
        for k in set(labels[b].flatten().tolist()) - {255}:
            places = (labels[b] == k).nonzero().tolist()
            centre = torch.stack([features[b, :, y, x] for y, x in places]).mean(0)
            for y, x in places:
                out[b, y, x] = F.cosine_similarity(features[b, :, y, x], centre, dim=0)
    return out


def test_variation_is_the_cosine_with_the_mean_of_the_class_in_the_image():
    """Ignored places are their own centre."""
    features, labels = torch.randn(4, 7, *SHAPE[1:]), masks()

    torch.testing.assert_close(variation(features, labels, 5), slow_variation(features, labels))


def test_ifvd_compares_the_two_on_the_student_s_grid():
    """Masks are taken at the nearest pixel; the teacher's map is interpolated."""
    student, teacher, labels = torch.randn(4, 7, 2, 3), torch.randn(4, 9, 2, 3), masks()
    small = labels[:, ::8, ::8]
    expected = (slow_variation(student, small) - slow_variation(teacher, small)).square().mean()

    torch.testing.assert_close(ifvd(student, teacher, labels, 5), expected, rtol=1e-6, atol=0)
    assert float(ifvd(student, student, labels, 5)) == 0


def test_pixel_kd_is_the_mean_over_pixels_and_classes():
    """Slow and obvious; with a temperature, times its square."""
    student, teacher = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    for temperature in (1.0, 2.0):
        total = 0.0
        for b in range(2):
            for y in range(3):
                for x in range(4):
                    ours = (student[b, :, y, x] / temperature).log_softmax(0)
                    theirs = (teacher[b, :, y, x] / temperature).log_softmax(0)
                    total += float((theirs.exp() * (theirs - ours)).sum())
        expected = total / (2 * 5 * 3 * 4) * temperature**2
        assert float(kd_pixel(student, teacher, temperature)) == pytest.approx(expected)


def test_kd_of_depths_is_the_mean_difference_over_all_pixels():
    """Those that were not measured too; no gradient reaches the teacher."""
    student = torch.randn(2, 1, 3, 4, requires_grad=True)
    teacher = torch.randn(2, 1, 3, 4, requires_grad=True)
    pairs = zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    loss = kd_depth(student, teacher)
    loss.backward()

    assert float(loss.detach()) == pytest.approx(sum(abs(s - t) for s, t in pairs) / 24)
    assert float(kd_depth(student, student).detach()) == 0
    torch.testing.assert_close(student.grad, (student - teacher).sign() / 24)
    assert teacher.grad is None


def test_sckd_sees_a_row_per_pixel():
    """Logits of whole images are as they are."""
    logits = torch.randn(2, 5, 3, 4)
    rows = per_row(logits)

    assert rows.shape == (24, 5)
    assert torch.equal(rows[0], logits[0, :, 0, 0])
    assert torch.equal(rows[5], logits[0, :, 1, 1])
    assert per_row(rows) is rows


@pytest.fixture(scope="module")
def networks():
    """A student and a teacher, in train and in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        student = PSPNet("mobilenet-v2", classes=5, image=SHAPE).double().train()
        teacher = PSPNet("resnet18", classes=5, image=SHAPE).double().eval()
    return student, teacher.requires_grad_(False)


@pytest.fixture(scope="module")
def depth_networks():
    """The same of depth, for colours and a sparse depth."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = [SparseToDense(18, classes=1, image=DEEP).double() for _ in range(2)]
    return built[0].train(), built[1].eval().requires_grad_(False)


@pytest.mark.parametrize("name", SEGMENTING)
def test_every_method_for_segmentation_teaches_a_pspnet(networks, name):
    """Finite terms, and a gradient in the student for all but `none`."""
    check_teaching(name, *networks, Batch(torch.randn(4, *SHAPE), masks(), torch.arange(4)))


@pytest.mark.parametrize("name", sampled(MEASURING, ["none", "kd_depth", "reviewkd"]))
def test_every_method_for_depth_teaches_a_depth_network(depth_networks, name):
    """Finite terms, and a gradient in the student for all but `none`."""
    depths = torch.rand(4, *DEEP[1:])
    depths[:, 0] = 0
    check_teaching(name, *depth_networks, Batch(torch.randn(4, *DEEP), depths, torch.arange(4)))


def check_teaching(name, student, teacher, batch):
    """One step of a method between two networks."""
    component = COMPONENTS.get("method", name, where="test")
    given = component.parameters(scale="paper", pair=None, overrides={}, where="test")
    given.pop("task_weight", None)
    if "maps" in given:  # three pathways are enough
        given["maps"] = ["t1-s2", "t3-s3", "t5-s4"]
    torch.manual_seed(1)
    loss = find_class(component)(student, teacher, **given)
    ours = student.read(batch.images)
    with torch.no_grad():
        theirs = teacher.read(batch.images)
    position = TrainingPosition(step=50, steps=100, epoch=50, epochs=100)
    terms = dict(loss(ours, theirs, batch, position))
    if loss.first is not None:
        terms |= loss.first_terms(ours, theirs, batch, position)

    assert all(torch.isfinite(term) for term in terms.values())
    assert bool(terms) == (name != "none")
    if terms:
        total = torch.stack(list(terms.values())).sum()
        weights = [w for key, w in student.named_parameters() if key.startswith("trunk")]
        slopes = torch.autograd.grad(total, weights, allow_unused=True)
        sizes = [float(slope.abs().sum()) for slope in slopes if slope is not None]
        assert sum(sizes) > 0
        assert all(size == size for size in sizes)


def test_the_methods_that_the_paper_names_are_among_them():
    """Beside those that need a search."""
    assert set(SEGMENTING) >= EXPECTED
    assert set(MEASURING) >= OF_DEPTH
    for name in ("alpha_t", "distpro"):
        declared = COMPONENTS.get("method", name, where="test").declaration
        assert {"segmentation", "depth"} <= set(declared.tasks)
