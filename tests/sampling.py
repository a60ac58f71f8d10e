"""A sample of a test's cases for `make test`; `make test-all` takes all of them."""

import pytest


def sampled(cases, sample):
    """The cases in their order, with the mark `slow` on those that are not in the sample.

    Args:
        cases: names of cases, as `parametrize` takes them.
        sample: those that `make test` takes too.

    Raises:
        ValueError: the sample names a case that does not exist.
    """
    if absent := set(sample) - set(cases):
        raise ValueError(f"no such cases: {sorted(absent)}")
    return [c if c in sample else pytest.param(c, marks=pytest.mark.slow) for c in cases]
