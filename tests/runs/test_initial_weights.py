"""Where networks begin: the students of a search are fresh ones."""

import torch
from tiny_project import SEARCH, STUDENT

from kdbench.runs import assemble


def test_a_search_and_the_student_of_its_seed_begin_with_other_weights(finished, monkeypatch):
    """Else the first of a cell's students would know the search's images, and the others not."""
    begun, make = {}, assemble.make_network

    def spy(network, data, seed, precision):
        made = make(network, data, seed, precision)
        weights = next(iter(made.parameters())).detach().clone()
        begun.setdefault(network.name, []).append(weights)
        return made

    monkeypatch.setattr(assemble, "make_network", spy)
    finished.undo(SEARCH)
    finished.undo(STUDENT)

    finished.run(STUDENT)

    searching, training = begun["resnet20"]
    assert not torch.equal(searching, training)
