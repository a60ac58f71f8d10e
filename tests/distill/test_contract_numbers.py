"""Every declared loss under other formats, compilers, batch sizes and dead networks."""

import copy

import pytest
import torch
from contract import EVERY, METHODS, PAIR, build, few_pathways, finite, network, scene
from sampling import sampled

# The compiler's remarks on what it looks at, and on what it leaves to Python.
quiet = pytest.mark.filterwarnings("ignore:(The .grad attribute|Dynamo does not know):UserWarning")
every = pytest.mark.parametrize("method", EVERY)
# Relative error of a term in bfloat16 autocast against float64, on maps that bfloat16 holds
# exactly: what remains are the connectors' own roundings (2^-9 each) and what a formula does
# with them.
BF16 = 1e-3  # the sum of a few channels' roundings, of either sign; 0 where there is no connector
BF16_OF = {"ft": 5e-3, "alpha_t": 5e-3, "distpro": 5e-3, "equal": 5e-3}
# Methods that cannot be one graph, with the reason. They compile in pieces, with the same result.
BROKEN = {
    "alpha_t": "which pathways count is worked out on the CPU from the scheme's numbers",
    "distpro": "which pathways count is worked out on the CPU from the scheme's numbers",
    "crd": "negatives are drawn by a generator made for the step",
    "jacobian": "its gradient in the images is taken by autograd inside the loss",
}
# What `make test` compiles: of losses on logits, on maps with and without connectors, on pairs of
# images, with a first part, and of those in pieces.
COMPILED = ("kd", "sp", "nst", "fitnet", "vid", "ft", "sckd", "jacobian")


@pytest.fixture(scope="module")
def nets():
    """Teacher and student; no test changes them."""
    return network(PAIR[0]), network(PAIR[1])


def both(loss, seen):
    """Terms and gradients."""
    terms = seen.terms(loss)
    return terms, seen.slopes(loss, terms)


def assert_near(actual, expected, rtol):
    """Gradients agree, each by its norm; a millionth of the whole is rounding."""
    whole = torch.stack([x.norm() for x in expected if x is not None] or [torch.ones(())]).norm()
    for ours, theirs in zip(actual, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert (ours - theirs).norm() <= rtol * theirs.norm() + 1e-6 * whole


@every
def test_channels_last_maps_and_connectors_give_the_same_terms(nets, method):
    """And the same gradients, to float32's rounding."""
    teacher, student = nets
    loss = build(method, student, teacher, **few_pathways(method))
    last = copy.deepcopy(loss).to(memory_format=torch.channels_last)

    def reorder(of, x):
        return x.to(memory_format=torch.channels_last) if x.ndim == 4 else x

    expected, slopes = both(loss, scene(student, teacher))
    seen = scene(student, teacher, change=reorder)
    terms, slopes_of_last = both(last, seen)

    assert seen.student.pre[1].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(terms, expected, rtol=1e-4, atol=1e-6)
    assert_near(slopes_of_last, slopes, 1e-3)


@every
def test_terms_under_bfloat16_autocast_are_near_those_in_float64(nets, method):
    """Terms are float32, gradients finite."""
    teacher, student = nets
    loss = build(method, student, teacher)
    wide = copy.deepcopy(loss).double()
    losses = {torch.float64: wide, torch.bfloat16: loss}
    terms, slopes = {}, {}
    for kind, one in losses.items():

        def rounded(of, x, kind=kind):
            return x.bfloat16().to(torch.float32 if of == "images" else kind)

        seen = scene(student, teacher, change=rounded)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
            terms[kind] = seen.terms(one)
        slopes[kind] = seen.slopes(one, terms[kind])

    bound = BF16_OF.get(method, BF16)
    for name, value in terms[torch.bfloat16].items():
        expected = terms[torch.float64][name]
        assert value.dtype == torch.float32
        assert abs(value.double() - expected) <= bound * abs(expected) + 1e-6, name
    assert finite(slopes[torch.bfloat16])


@quiet
@pytest.mark.parametrize("method", sampled(METHODS, COMPILED))
def test_a_compiled_loss_gives_what_the_eager_one_gives(nets, method):
    """As one graph, except where `BROKEN` lists a reason: there in pieces."""
    teacher, student = nets
    loss, twin = (build(method, student, teacher, **few_pathways(method)) for _ in range(2))
    expected, slopes = both(loss, scene(student, teacher))
    terms, compiled_slopes = _compiled(twin, nets, method not in BROKEN)

    torch.testing.assert_close(terms, expected, rtol=1e-5, atol=1e-7)
    assert_near(compiled_slopes, slopes, 1e-4)


@quiet
@pytest.mark.parametrize("method", BROKEN)
def test_a_method_listed_as_broken_does_not_compile_as_one_graph(nets, method):
    """So the list names no method that could be taken off it."""
    teacher, student = nets
    with pytest.raises(torch._dynamo.exc.Unsupported):
        _compiled(build(method, student, teacher, **few_pathways(method)), nets, whole=True)


def _compiled(loss, nets, whole):
    """Terms and gradients of the compiled loss; in pieces with the quicker backend."""
    teacher, student = nets
    torch.compiler.reset()  # it compiles a piece of code only so often
    backend = "aot_eager" if whole else "eager"
    with torch.random.fork_rng():
        return both(torch.compile(loss, backend=backend, fullgraph=whole), scene(student, teacher))


@every
def test_batches_of_six_three_and_two_images_give_finite_gradients(nets, method):
    """They reach the student, and are not all 0 but for two images."""
    teacher, student = nets
    loss = build(method, student, teacher, **few_pathways(method))
    for count in (6, 3, 2):
        terms, slopes = both(loss, scene(student, teacher, count=count))
        assert finite(terms.values())
        assert finite(slopes)
        assert not terms or any(x is not None for x in slopes)
        assert not terms or count == 2 or any(x is not None and x.any() for x in slopes)


def flat(value):
    """Maps, vectors and logits that are one number everywhere; the graph stays."""
    return lambda x: 0 * x + value


DEAD = {
    "student 0": {"student": flat(0.0)},
    "teacher 0": {"teacher": flat(0.0)},
    "both 0": {"student": flat(0.0), "teacher": flat(0.0)},
    "student 1": {"student": flat(1.0)},
    "both 1": {"student": flat(1.0), "teacher": flat(1.0)},
    "equal images": {"images": lambda x: x[:1].expand_as(x).clone()},
}


@every
@pytest.mark.parametrize("case", DEAD)
def test_constant_maps_give_finite_values_and_gradients(nets, method, case):
    """Maps, vectors and logits that are 0 or 1 everywhere, or images that are all equal."""
    teacher, student = nets
    loss = build(method, student, teacher, **few_pathways(method))

    def change(of, x):
        return DEAD[case][of](x) if of in DEAD[case] else x

    terms, slopes = both(loss, scene(student, teacher, change=change))

    assert finite(terms.values())
    assert finite(slopes)
