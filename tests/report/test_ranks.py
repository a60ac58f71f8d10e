"""Ranks of methods over pairs, and which methods the seeds tell apart."""

import random
from itertools import combinations, permutations

import pytest
from made_up import Project

from kdbench.report.make import make_report
from kdbench.report.readings.lines import all_lines
from kdbench.report.readings.multiple import holm, joined
from kdbench.report.readings.records import Records
from kdbench.report.readings.statistics import estimate, one_sided
from kdbench.report.site.boards import cells_by_method
from kdbench.report.site.ranks import ranking
from kdbench.report.site.standings import boards

KD, REVIEW = "KD (added by us)", "ReviewKD+"


def ranked(plan):
    """The ranking of a plan's records."""
    records = Records(plan.paths)
    found = boards(plan.graph, records, all_lines(plan.graph, records))
    return ranking(cells_by_method(found), found)


def seeds(mean):
    """Three runs about a mean."""
    return [mean - 0.1, mean, mean + 0.1]


@pytest.fixture(name="plan")
def three_methods(tmp_path):
    """Two pairs, on which DistPro leads clearly and the others take turns."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"], seeds=3)
    for pair, accuracies in enumerate([(70, 75, 72.00, 72.05), (70, 75, 72.05, 72.00)]):
        for row, mean in zip(["student", "DistPro", KD, REVIEW], accuracies, strict=True):
            plan.evaluate(row, seeds(mean), pair=pair)
    return plan


def test_mean_ranks_have_the_interval_over_the_pairs(plan):
    """1 and 1 for the best; 2 and 3 for those that take turns: 2.5 ± 12.7 x 0.5."""
    rows = {row.method: row for row in ranked(plan).rows}

    assert next(iter(rows)) == "DistPro" and rows["DistPro"].ranks == [1, 1]
    assert sorted(rows["KD"].ranks) == [2, 3] and rows["KD"].mean.mean == 2.5
    assert rows["KD"].mean.half == pytest.approx(12.706 * 0.5, rel=1e-3)


def test_methods_that_the_seeds_do_not_tell_apart_share_a_group_and_their_places(plan):
    """The two that take turns; the best is alone in its place."""
    found = ranked(plan)
    rows = {row.method: row for row in found.rows}

    assert [sorted(group) for group in found.groups] == [["KD", "ReviewKD"]]
    assert (rows["DistPro"].first, rows["DistPro"].last) == (1, 1)
    assert {(rows[m].first, rows[m].last) for m in ("KD", "ReviewKD")} == {(2, 3)}
    page = make_report(plan.graph, plan.paths).parent / "methods.html"
    assert "3 methods by their mean rank over 2 pairs" in page.read_text(encoding="utf-8")


def test_a_method_that_was_not_measured_on_all_pairs_is_named_and_not_ranked(plan):
    """Ranks over other pairs would compare nothing."""
    plan.evaluate("equally weighted", seeds(73.0), pair=0)

    found = ranked(plan)

    assert len(found.boards) == 2 and len(found.rows) == 3 and len(found.others) == 1


def test_single_seeds_tell_nobody_apart(tmp_path):
    """Every place is open, and one group holds all."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"], seeds=1)
    for row, mean in {"student": 70.0, "DistPro": 75.0, KD: 71.0}.items():
        plan.evaluate(row, [mean])

    found = ranked(plan)

    assert {(row.first, row.last) for row in found.rows} == {(1, 2)}
    assert [sorted(group) for group in found.groups] == [["DistPro", "KD"]]


def test_without_two_methods_on_a_pair_there_is_no_ranking(tmp_path):
    """Also without any record."""
    assert ranked(Project(tmp_path, scale="lite", exhibits=["distpro/table1"])) is None


def test_holm_rejects_what_the_slow_rule_rejects():
    """The slow rule: the i-th smallest of m is rejected if all up to it are within 0.05/(m-i)."""
    chance = random.Random(0)
    for _ in range(200):
        values = [chance.random() ** 3 * 0.1 for _ in range(chance.randint(1, 9))]
        ordered = sorted(values)
        within = [p <= 0.05 / (len(values) - i) for i, p in enumerate(ordered)]
        expected = [p for i, p in enumerate(ordered) if all(within[: i + 1])]
        assert sorted(values[key] for key in holm(dict(enumerate(values)))) == expected


def test_groups_are_all_sets_without_a_pair_told_apart_that_nothing_can_join():
    """Compared with every subset of six names."""
    chance = random.Random(1)
    for _ in range(50):
        apart = {pair for pair in combinations("abcdef", 2) if chance.random() < 0.4}
        free = [
            set(some)
            for size in range(1, 7)
            for some in combinations("abcdef", size)
            if not any(pair in apart for pair in combinations(some, 2))
        ]
        largest = [one for one in free if not any(one < other for other in free)]
        expected = sorted(sorted(one) for one in largest if len(one) > 1)
        assert joined("abcdef", apart) == expected


def test_equal_methods_are_told_apart_in_few_reports():
    """Five methods over four pairs, three seeds: in 5 % of 400 draws at most, and chance."""
    chance, wrong = random.Random(2), 0
    for _ in range(400):
        cells = {
            m: [estimate([chance.gauss(0, 0.3) for _ in range(3)]) for _ in range(4)]
            for m in "abcde"
        }
        chances = {
            (one, other): one_sided(
                [(0.25, cell) for cell in cells[one]] + [(-0.25, cell) for cell in cells[other]]
            )
            for one, other in permutations(cells, 2)
        }
        wrong += bool(holm(chances))
    assert 0 < wrong <= 28, wrong
