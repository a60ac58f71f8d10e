"""How far searches move and how far apart their seeds end."""

import pytest
from finished import body_of, carve, lines_of, plan_of, search

from kdbench.errors import BadValue
from kdbench.exhibits.keys import SeedKey
from kdbench.report.readings.records import Records
from kdbench.report.summaries.spread_summary import render

SPREAD = "ours/spread"
NAMES = ["t1-s1-a", "t1-s2-a", "t2-s1-a", "t2-s2-a"]
START = [0.25] * 4
HIGH, LOW = [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]


def finished(project, ends):
    """The first seeds of the first search, with those last rows."""
    plan = plan_of(project, SPREAD)
    for spec, end in zip(plan.graph.drawn[SPREAD].values(), ends, strict=False):
        search(plan, spec, NAMES, [START, end])
    return plan


def test_the_seeds_are_runs_of_their_own(project):
    """Each search has three seeds, of which other exhibits share the first alone.

    With the data order held the seed is that of the first, and only what DFA draws differs.
    """
    specs = plan_of(project, SPREAD, "ours/searches").graph.drawn[SPREAD]
    held = [specs[SeedKey("DFA, data order held", draw)] for draw in range(2)]

    assert len(specs) == 11 and len({spec.digest for spec in specs.values()}) == 10
    assert held[0] is specs[SeedKey("DFA", 0)] and held[1].seed == 0
    assert held[1].search.parameters == {**held[0].search.parameters, "draw": 1}
    assert [specs[SeedKey("DFA", seed)].seed for seed in range(3)] == [0, 1, 2]
    graph = plan_of(project, "ours/searches").graph
    assert specs[SeedKey("DistPro", 0)].digest in graph.runs
    assert specs[SeedKey("DistPro", 1)].digest not in graph.runs


def test_equal_seeds_agree_and_are_not_apart(project):
    """They moved by 40 % of the start's sum, end 0 % apart and agree to 1."""
    line, _ = lines_of(finished(project, [HIGH, HIGH, HIGH]), SPREAD)

    assert (line["search"], line["seeds"]) == ("DFA", "3")
    assert float(line["moved"]) == pytest.approx(40)
    assert float(line["apart"]) == pytest.approx(0, abs=1e-9)
    assert float(line["agreement"]) == pytest.approx(1)


def test_opposite_seeds_do_not_agree(project):
    """With two seeds at one end and one at the other, two of three pairs are 80 % apart."""
    line, _ = lines_of(finished(project, [HIGH, HIGH, LOW]), SPREAD)

    assert float(line["apart"]) == pytest.approx(2 / 3 * 80)
    assert float(line["agreement"]) == pytest.approx((1 - 1 - 1) / 3)


def test_one_seed_has_no_spread(project):
    """The columns between seeds are empty; a search that stayed where it was has moved by 0."""
    plan = finished(project, [START])

    assert "| 0.0 " in body_of(plan, SPREAD)
    line, _ = lines_of(plan, SPREAD)
    assert (line["apart"], line["agreement"]) == ("", "")


def test_a_structure_counts_by_the_channels_that_its_connections_keep(project):
    """It starts with all channels open and ends at its record's shares; equal ends agree to 1."""
    plan = plan_of(project, SPREAD)
    connections = {"a": {"b": [8, 4]}, "c": {"b": [8, 8], "d": [4, 0]}}
    for seed in (0, 1):
        carve(plan, plan.graph.drawn[SPREAD][SeedKey("SBS", seed)], connections=connections)

    (line,) = lines_of(plan, SPREAD)
    assert float(line["moved"]) == pytest.approx(100 * 1.5 / 3)
    assert float(line["agreement"]) == pytest.approx(1)


def test_a_key_without_a_seed_is_refused(project):
    """The error names the summary and the key that it met."""
    plan = plan_of(project, SPREAD)
    (summary,) = plan.graph.exhibits
    spec = next(iter(plan.graph.drawn[SPREAD].values()))
    search(plan, spec, NAMES, [START, HIGH])
    records = Records(plan.paths)

    with pytest.raises(BadValue, match="ours/spread, requests: found 'DFA', expected keys that"):
        render(summary, {"DFA": (spec, records.get(spec))}, records)
