"""What an SBS search logs and leaves behind as its finding."""

import copy

import pytest
import torch
from sbs_runs import KL, STEPS, batches, run, start

from kdbench.models.pruning.structure import Structure
from kdbench.search.divergence import plain_cross_entropy, softened_kl
from kdbench.search.pruning_summary import connections


def test_the_logged_share_is_that_of_the_gates_after_every_step():
    """Operations are counted again whenever a gate has closed."""
    teacher, search = start(budget=0.0)
    for data in batches(teacher, STEPS):
        share = search.step(*data)["flops_share"].item()
        assert share == pytest.approx(search.gates.share(search.gates.plan()))
    assert share < 0.5


@pytest.mark.parametrize("loss", ["kl", "np"])
def test_the_finding_has_the_median_of_loss_over_penalty(float64, loss):
    """It is the median over steps of the median over open gates of |dl/dg| / (λ α), by hand."""
    teacher, search = start(loss=loss, lambda_2=0.5, budget=0.0)
    medians = []
    for data in batches(teacher, 5):
        twin, (seen, _, _) = copy.deepcopy(search.student), data
        logits, theirs = twin(seen.batch.images), seen.features().logits
        each = softened_kl(logits, theirs, **KL)
        (each if loss == "kl" else plain_cross_entropy(logits, theirs)).mean().backward()
        ratios, places = [], iter(search.gates.alphas.tolist())
        for name in search.gates.layout.widths:
            gate = twin.get_parameter(f"{name}.gate")
            for value, slope in zip(gate.tolist(), gate.grad.tolist(), strict=True):
                alpha = next(places)
                ratios += [abs(slope) / (0.5 * alpha)] if value and alpha else []
        medians.append(sorted(ratios)[(len(ratios) - 1) // 2])
        search.step(*data)
    assert search.finding().metadata["loss_to_penalty"] == pytest.approx(sorted(medians)[2])


def test_kl0_is_a_share_of_the_largest_divergence_that_the_base_met():
    """Without a base, as before any search has run, it is 0."""
    base = Structure("", {}, {}, {"largest_kl": 3.0})
    _, search = start(loss="kl0", kl0_share=0.25, base=base)
    assert search.blank().metadata["kl0"] == 0.75
    _, search = start(loss="kl0", kl0_share=0.25)
    assert search.blank().metadata["kl0"] == 0.0


def test_the_finding_says_what_the_penalty_alone_would_leave():
    """The dearest gates are closed until the budget is met; unweighted ones are all alike."""
    teacher, search = start(budget=0.6)
    run(search, teacher, 1)
    alone, layout = search.finding().metadata["penalty_alone"], search.gates.layout
    flat = search.gates.alphas.tolist()
    order = sorted(range(len(flat)), key=lambda j: -flat[j])
    values, closed = torch.ones(len(flat)), 0
    while search.gates.share(search.gates._plan(values)) > 0.6:
        values[order[closed]] = 0
        closed += 1
    plan = search.gates._plan(values)
    assert alone["share"] == search.gates.share(plan) <= 0.6
    assert alone["connections"] == connections(layout, plan)
    assert search.gates.alone.last == flat[order[closed - 1]]
    teacher, search = start(budget=0.6, weighted=False)
    run(search, teacher, 1)
    assert search.finding().metadata["penalty_alone"] is None


def test_the_summary_has_every_gate_that_is_open():
    """As one hexadecimal number per reader, bit by bit."""
    kept = {"a": [0, 3, 9], "b": []}
    summary = Structure("", {}, kept, {}).summary()["structure"]
    bits = {name: int(number, 16) for name, number in summary["kept"].items()}
    assert {n: [c for c in range(10) if bits[n] >> c & 1] for n in kept} == kept


def test_the_finding_has_the_largest_divergences_of_all_steps():
    """One is of an image, one of a batch's mean."""
    teacher, search = start()
    terms = run(search, teacher, 6)
    about = search.finding().metadata
    assert about["largest_mean_kl"] == max(float(t["kl"]) for t in terms)
    assert about["largest_kl"] > about["largest_mean_kl"]
