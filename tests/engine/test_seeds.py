"""One seed per run, one stream per purpose."""

import pytest
import torch

from kdbench.engine.seeds import derive, seeded


def test_every_seed_and_purpose_has_its_own_stream():
    """1 and 11 are not confused with 11 and 1."""
    keys = [(s, *n) for s in (0, 1, 11) for n in [(), ("init",), ("init", 1), ("init", 11), (1,)]]

    assert len({derive(*key) for key in keys}) == len(keys)
    assert all(0 <= derive(*key) < 2**63 for key in keys)


def test_a_derived_seed_never_changes():
    """Golden: another hash would change every run's numbers under the same digest."""
    assert derive(0, "network", "wrn-16-2") == 268197903816997494
    assert derive(1, "train") == 8560378432181388215


def test_what_is_drawn_inside_depends_on_the_names_only():
    """Not on what was drawn before, nor on the order of the blocks."""
    with seeded(3, "a"):
        first = torch.randn(4)
    torch.randn(100)
    with seeded(3, "b"):
        other = torch.randn(4)
    with seeded(3, "a"):
        again = torch.randn(4)

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("fails", [False, True])
def test_the_global_generator_is_as_before(fails):
    """Also when the block raises."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    try:
        with seeded(0, "x"):
            torch.randn(10)
            if fails:
                raise ValueError
    except ValueError:
        pass

    assert torch.equal(torch.get_rng_state(), before)
