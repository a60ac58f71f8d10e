"""Where networks begin: the students of a search are fresh ones."""

import pytest
import torch
from tiny_project import SEARCH, STUDENT

from kdbench.runs import assemble


class Begun(Exception):
    """A run's student has its first weights."""


def test_a_search_and_the_student_of_its_seed_begin_with_other_weights(finished, monkeypatch):
    """Else the first of a cell's students would know the search's images, and the others not."""
    make = assemble.make_network

    def spy(network, data, seed, precision):
        made = make(network, data, seed, precision)
        if network.name == "resnet20":
            raise Begun(next(iter(made.parameters())).detach().clone())
        return made

    def first_weights(name):
        finished.undo(name)
        with pytest.raises(Begun) as caught:
            finished.run(name)
        return caught.value.args[0]

    monkeypatch.setattr(assemble, "make_network", spy)
    training, searching = first_weights(STUDENT), first_weights(SEARCH)

    assert not torch.equal(searching, training)
