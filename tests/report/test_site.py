"""The pages of a report as texts: complete, stable, and safe whatever a record says."""

import random
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made_up import Project
from sampling import sampled
from synthetic import TABLES, fill

from kdbench.errors import UserError
from kdbench.report.make import make_report
from kdbench.report.readings.lines import all_lines
from kdbench.report.readings.provenance import DEVICES, DIRTY, VERSIONS
from kdbench.report.readings.records import Records
from kdbench.report.site import assets
from kdbench.report.site.assets import as_classic
from kdbench.report.site.boards import method_rows
from kdbench.report.site.details import _latency
from kdbench.report.site.standings import boards

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Reader(HTMLParser):
    """Tags of a page; complains about one that is closed where it was not open."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        """Remember the tag with its attributes."""
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key)]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """As SVG writes its empty elements."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        """The innermost open tag is the one that ends."""
        assert self.open and self.open.pop() == tag, tag


def read(path):
    """A page, parsed to its end with every tag closed."""
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == [], path
    return reader


def site_of(plan):
    """The folder of a report."""
    return make_report(plan.graph, plan.paths).parent


def pages_of(folder):
    """All its pages."""
    return sorted(folder.rglob("*.html"))


@pytest.mark.parametrize("share", sampled([0.0, 0.1, 0.5], [0.0, 0.5]))
def test_any_share_of_the_records_gives_valid_pages_whose_links_lead_somewhere(tmp_path, share):
    """Every tag is closed, ids are unique, and every link is a file or an id of its page."""
    plan = Project(tmp_path, scale="paper", exhibits=TABLES, seeds=2)
    fill(plan.graph, plan.paths, share=share)
    folder = site_of(plan)

    for path in pages_of(folder):
        reader = read(path)
        assert len(reader.ids) == len(set(reader.ids)), path
        for link in reader.links:
            file, _, anchor = link.partition("#")
            if link.startswith("data:"):
                continue
            assert not file or (path.parent / file).is_file(), (path, link)
            assert file or anchor in reader.ids, (path, link)


def test_single_records_without_those_they_need_give_a_report(tmp_path):
    """Whatever records are deleted afterwards, the pages are written."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"])
    fill(plan.graph, plan.paths)
    chance = random.Random(1)
    for spec in plan.graph.runs.values():
        if chance.random() < 0.5:
            plan.paths.record(spec).unlink()

    assert all(read(path).tags for path in pages_of(site_of(plan)))


def test_hostile_text_in_records_stays_text(tmp_path):
    """No script, image or handler of a record's device, commit or notes reaches a page."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"])
    provenance = {
        "seed": 0,
        "device": EVIL,
        "commit": EVIL,
        "precision": EVIL,
        "versions": {"torch": EVIL},
    }
    curves = {"epoch": [1, 2], EVIL: [1.0, 2.0]}
    fill(plan.graph, plan.paths, share=0.3, notes=[EVIL], provenance=provenance, curves=curves)
    folder = site_of(plan)

    for path in pages_of(folder):
        reader = read(path)
        assert "alert" not in [a.get("onerror", "") for _, a in reader.tags], path
        assert not [t for t, a in reader.tags if t == "img" or any(k[:2] == "on" for k in a)]
        scripts = re.findall(r"<script([^>]*)>", path.read_text(encoding="utf-8"))
        assert all("src=" in s or "application/json" in s for s in scripts), path
    page = (folder / "pages/distpro-table1.html").read_text(encoding="utf-8")
    assert "&lt;/script&gt;" in page and EVIL not in page


def test_equal_records_give_equal_pages(tmp_path):
    """A second report changes no byte of any page."""
    plan = Project(tmp_path, scale="paper", exhibits=["dfa/ablation"], seeds=2)
    fill(plan.graph, plan.paths)
    first = {path: path.read_bytes() for path in pages_of(site_of(plan))}
    for path in first:
        path.unlink()

    assert {path: path.read_bytes() for path in pages_of(site_of(plan))} == first


def test_no_page_names_an_address_outside(tmp_path):
    """Links and sources are files of the report; the only address is a schema's name."""
    plan = Project(tmp_path, scale="paper", exhibits=["dfa/ablation"], seeds=2)
    fill(plan.graph, plan.paths)

    for path in pages_of(site_of(plan)):
        assert not [link for link in read(path).links if "//" in link], path


def test_cells_of_mixed_devices_versions_and_dirty_code_are_marked(tmp_path):
    """One of two students from elsewhere, by uncommitted code, marks its cell alone."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"], seeds=2)
    fill(plan.graph, plan.paths)
    evaluation = plan.cell("DistPro").evaluation
    other = {"seed": 1, "device": "another", "dirty": True, "commit": "1"}
    other["versions"] = {"torch": "1.0"}
    plan.write(evaluation.runs[1], provenance=other, metrics={"last": {}, "best": {}})

    marked = [line for line in all_lines(plan.graph, Records(plan.paths)) if line.marks]

    assert {line.digest for line in marked} == {evaluation.digest}
    assert marked[0].marks == (DEVICES, VERSIONS, DIRTY)
    page = (site_of(plan) / "pages/distpro-table1.html").read_text(encoding="utf-8")
    assert 'class="badge mark">mixed devices' in page
    text = (site_of(plan) / "tables/distpro-table1.md").read_text(encoding="utf-8")
    assert "◊ The runs of one cell: mixed devices, mixed versions, uncommitted code; see" in text
    (line,) = [x for x in text.splitlines() if "◊**" in x]
    assert line.startswith("| **DistPro") and line.count("◊") == 1


def test_a_gain_is_welchs_difference_to_the_student_alone(tmp_path):
    """71, 72, 73 beside 70, 71, 72: 1.00 ± 2.27 points, and the best stands first."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"], seeds=3)
    for label, runs in {"student": [70.0, 71.0, 72.0], "DistPro": [71.0, 72.0, 73.0]}.items():
        plan.evaluate(label, runs)
    records = Records(plan.paths)

    board = boards(plan.graph, records, all_lines(plan.graph, records))[0]
    first = board.standings[0]

    assert board.alone.row == "student" and first.line.row == "DistPro"
    assert first.gain[0] == 1.0 and round(first.gain[1], 2) == 2.27
    assert board.standings[1].gain is None


def test_pages_of_pairs_have_short_names_of_their_own(tmp_path):
    """However much a protocol's name says; a pair of two metrics has two boards."""
    ids = ["distpro/table6", "distpro/table4", "distpro/table4-top5", "ours/camvid"]
    plan = Project(tmp_path, exhibits=ids, datasets=["nyuv2", "imagenet", "camvid"], scale="paper")
    records = Records(plan.paths)
    made = boards(plan.graph, records, all_lines(plan.graph, records))
    names = [board.slug for board in made]
    again = boards(plan.graph, records, all_lines(plan.graph, records))

    assert len({*names}) == len(names) > 5 and [board.slug for board in again] == names
    assert all(re.fullmatch(r"[a-z0-9-]{1,80}-[0-9a-f]{6}", name) for name in names)
    (depths,) = (name for name in names if name.startswith("nyuv2"))
    assert depths.rpartition("-")[0].endswith("-nyuv2")
    first = made[0]
    assert replace(first, protocol="another").slug != replace(first, protocol="another, too").slug


def test_latency_says_of_how_many_images_a_batch_is():
    """As recorded; older records did not say, and a batch of one is one image."""
    one = {"batch1": {"median_ms": 2.0}}

    def shown(**batch):
        return _latency({"latency": {**one, "batch128": {"median_ms": 9.0, **batch}}})

    assert shown(batch=32, spread_ms=0.5) == {"one image": (2.0, None), "a batch of 32": (9.0, 0.5)}
    assert shown() == {"one image": (2.0, None), "a batch": (9.0, None)}
    assert shown(batch=1) == {"one image": (2.0, None)}
    assert _latency({}) == {}


def test_methods_that_the_seeds_tell_apart_are_named_on_both_sides(tmp_path):
    """A lead of five points is clear in both directions; one of a tenth is in neither."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"], seeds=3)
    plan.evaluate("student", [70.0, 70.1, 70.2])
    plan.evaluate("DistPro", [75.0, 75.1, 75.2])
    plan.evaluate("KD (added by us)", [70.1, 70.2, 70.3])
    plan.evaluate("ReviewKD+", [70.2, 70.3, 70.4])
    records = Records(plan.paths)

    rows = {
        row.method: row
        for row in method_rows(boards(plan.graph, records, all_lines(plan.graph, records)))
    }

    assert set(rows["DistPro"].better) == {"KD", "ReviewKD"} and not rows["DistPro"].open
    assert [rows[name].beside_alone for name in ("DistPro", "KD", "ReviewKD")] == [1, 0, 0]
    assert [rows[name].rank for name in ("DistPro", "ReviewKD", "KD")] == [1, 2, 3]
    assert list(rows["KD"].worse) == ["DistPro"] and list(rows["KD"].open) == ["ReviewKD"]


def test_a_bundle_of_another_form_is_one_line():
    """The error says which package, and what to do."""
    for module in ("var a=1", "var a=1;export{a as other}"):
        with pytest.raises(UserError, match=r"constraints\.txt"):
            as_classic(module, "lib", {"default": "One"})


def test_libraries_together_weigh_less_than_three_megabytes(monkeypatch, tmp_path):
    """Scripts and styles of a report, as they are written."""
    monkeypatch.undo()  # of conftest.py
    pytest.importorskip("itables")
    pytest.importorskip("vl_convert")

    contents = assets.write_needed(tmp_path)

    assert len(contents) == 6 and sum(map(len, contents.values())) < 3_000_000


def test_equal_methods_share_their_rank_and_none_is_said_to_beat_the_student_alone(tmp_path):
    """The student alone has no rank; a cell names the command that makes it again."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"], seeds=3)
    plan.evaluate("student", [70.0, 70.1, 70.2])
    for row in ("DistPro", "ReviewKD+"):
        plan.evaluate(row, [69.9, 70.1, 70.3])
    records = Records(plan.paths)
    rows = method_rows(boards(plan.graph, records, all_lines(plan.graph, records)))
    folder = site_of(plan)

    assert [row.rank for row in rows] == [1.5, 1.5]
    said = (folder / "methods.html").read_text(encoding="utf-8")
    assert "No method here is shown to be better than the student alone." in said
    cells = (folder / "pages/distpro-table1.html").read_text(encoding="utf-8")
    assert re.search(r"kdbench redo [0-9a-f]+( [0-9a-f]+){3} --scale lite", cells)


def test_an_axis_of_accuracies_ends_at_a_hundred(tmp_path):
    """However wide the interval of two seeds is."""
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"], seeds=2)
    plan.evaluate("student", [40.0, 98.0])
    plan.evaluate("DistPro", [97.0, 99.0])
    records = Records(plan.paths)
    (board,) = [b for b in boards(plan.graph, records, all_lines(plan.graph, records)) if b.alone]

    assert board.bounds[0] >= 0 and board.bounds[1] <= 100


def test_my_method_is_set_beside_kd_with_the_smallest_lead_that_is_decided(tmp_path):
    """Words for none, one pair, and the plug-in's folder in a cell's params.yaml."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/mine.py").write_text(
        "from torch import nn\n\n\nclass Mine(nn.Module):\n    pass\n"
    )
    declared = 'kind = "method"\nclass = "Mine"\nlabel = "Mine"\nrevision = 1\n'
    (tmp_path / "own/mine.toml").write_text(declared)
    plugins = [str(tmp_path / "own")]
    plan = Project(tmp_path, scale="lite", exhibits=["distpro/table1"], seeds=3, plugins=plugins)
    plan.evaluate("student", [70.0, 70.1, 70.2])
    plan.evaluate("KD (added by us)", [70.1, 70.2, 70.3])
    plan.evaluate("Mine", [71.1, 71.2, 71.3])
    folder = site_of(plan)
    page = (folder / "mine.html").read_text(encoding="utf-8")

    assert re.search(r"Lead over KD: \+1.00 ± 0.\d+ points over 1 pair in common", page)
    assert "a lead is decided from 0." in page and "clearly worse than: no method" in page
    cells = (folder / "pages/distpro-table1.html").read_text(encoding="utf-8")
    assert "\nplugins: [" in cells
