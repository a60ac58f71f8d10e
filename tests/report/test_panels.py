"""Panels of a table: what records hold, on both kinds of page; without any, a page as before."""

import io
import re

import pytest
from made_up import Project
from PIL import Image

from kdbench.errors import DamagedData
from kdbench.report.make import make_report
from kdbench.report.panels import MOST_BYTES
from kdbench.store.panels import as_png, as_text, shades

CAMVID = {"exhibits": ["ours/camvid"], "datasets": ["camvid"], "scale": "lite"}
DEPTHS = {"exhibits": ["distpro/table6"], "datasets": ["nyuv2"], "scale": "paper"}
OF = ["aa", "bb", "cc"]
PAGE, SITE = "tables/ours-camvid.md", "pages/ours-camvid.html"
DEPTH_PAGES = ("tables/distpro-table6.md", "pages/distpro-table6.html")


def strip(shade=0, noise=0):
    """A PNG file of its own for every shade, with so many bytes of a comment."""
    file = io.BytesIO()
    Image.new("L", (6, 2), shade).save(file, "PNG")
    return file.getvalue() + b"x" * noise


def cell(plan, row):
    """The cell of a row."""
    return next(one for one in plan.graph.cells["ours/camvid"] if one.row.label == row)


def evaluate(plan, row, panels, miou=50.0):
    """Finish a cell of the first column."""
    one = {"miou": miou, "pixel_accuracy": 80.0, "by_class": []}
    run = {"seed": 0, "last": one, "best": {**one, "epoch": 2}, "selected": None}
    metrics = {"reported": "last", "runs": [run], "classes": ["sky", "road"]}
    more = {} if panels is None else {"panels": panels}
    return plan.write(cell(plan, row).evaluation, metrics, **more)


def guess(shade, of=OF, noise=0):
    """What an evaluation's record holds."""
    return {"of": of, "guess": as_text(strip(shade, noise))}


def prepare(plan):
    """Finish the data set."""
    data = cell(plan, "baseline").evaluation.data
    panels = {"of": OF, "image": as_text(strip(1)), "truth": as_text(strip(2))}
    plan.write(data, panels=panels)


def measure_depths(plan, row, panels):
    """Finish a cell of the table of depths."""
    cells = plan.graph.cells["distpro/table6"]
    evaluation = next(one for one in cells if one.row.label == row).evaluation
    run = {"seed": 0, "last": {"rmse": 0.3}, "best": {"rmse": 0.2, "epoch": 2}, "selected": None}
    metrics = {"reported": "best", "runs": [run], "classes": ["metres"]}
    return plan.write(evaluation, metrics, panels=panels)


def report_of(plan):
    """The report's folder."""
    return make_report(plan.graph, plan.paths).parent


def test_images_truth_and_every_network_stand_on_both_pages(tmp_path):
    """As files beside the pages, the bytes of the records; digests name networks."""
    plan = Project(tmp_path, **CAMVID)
    prepare(plan)
    evaluate(plan, "teacher", guess(3))
    evaluate(plan, "DistPro", guess(4))
    folder = report_of(plan)

    names = [cell(plan, row).evaluation.digest for row in ("teacher", "DistPro")]
    files = [f"panels/ours-camvid/{name}.png" for name in ("image", "truth", *names)]
    assert [(folder / file).read_bytes() for file in files] == [strip(k) for k in (1, 2, 3, 4)]
    for page in (PAGE, SITE):
        text = (folder / page).read_text()
        places = [text.index(f"../{file}") for file in files]
        assert places == sorted(places)
        assert "sky" in text and "road" in text


def test_records_without_panels_give_the_page_as_before(tmp_path):
    """Those of older runs stay valid; a data set's alone show nothing."""
    plan = Project(tmp_path, **CAMVID)
    prepare(plan)
    evaluate(plan, "baseline", None)
    folder = report_of(plan)

    assert "50.00" in (folder / PAGE).read_text()
    assert not (folder / "panels").exists()
    assert all("anels" not in (folder / page).read_text() for page in (PAGE, SITE))


def test_an_older_data_set_s_record_leaves_images_and_truth_out(tmp_path):
    """What networks say is shown all the same."""
    plan = Project(tmp_path, **CAMVID)
    evaluate(plan, "baseline", guess(3))

    assert len(list((report_of(plan) / "panels/ours-camvid").iterdir())) == 1


def test_networks_that_saw_other_images_are_left_out(tmp_path):
    """Beside the first one's they would mislead."""
    plan = Project(tmp_path, **CAMVID)
    prepare(plan)
    evaluate(plan, "baseline", guess(3))
    evaluate(plan, "DistPro", guess(4, of=["dd"]))

    assert len(list((report_of(plan) / "panels/ours-camvid").iterdir())) == 3


def test_an_exhibit_holds_300_kb_at_most(tmp_path):
    """What has no room is counted on the page."""
    plan = Project(tmp_path, **CAMVID)
    prepare(plan)
    for row in ("teacher", "baseline", "DistPro"):
        evaluate(plan, row, guess(3, noise=140_000))
    folder = report_of(plan)

    files = list((folder / "panels/ours-camvid").iterdir())
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    assert all("1 more are left out" in (folder / page).read_text() for page in (PAGE, SITE))


def test_files_of_cells_that_are_gone_go_too(tmp_path):
    """A report shows what its records say and nothing else."""
    plan = Project(tmp_path, **CAMVID)
    prepare(plan)
    evaluate(plan, "teacher", guess(3))
    gone = evaluate(plan, "baseline", guess(4))
    report_of(plan)
    gone.unlink()

    assert len(list((report_of(plan) / "panels/ours-camvid").iterdir())) == 3


@pytest.mark.parametrize("content", ["PHNjcmlwdD4=", "no base64", 3, None])
def test_anything_but_a_png_file_is_one_clear_line(tmp_path, content):
    """Records come from anybody."""
    plan = Project(tmp_path, **CAMVID)
    evaluate(plan, "baseline", {"of": OF, "guess": content})

    assert as_png(content) is None
    with pytest.raises(DamagedData, match=r"panels\.guess: found 'something else'|a PNG file"):
        report_of(plan)


def test_depths_have_one_scale_of_colours_that_both_pages_name(tmp_path):
    """In metres, near to far, with the colour of what was not measured; no class is listed."""
    plan = Project(tmp_path, **DEPTHS)
    data = next(run for run in plan.graph.runs.values() if run.phase == "data")
    scale = {"of": OF, "metres": [0.7, 8.7]}
    plan.write(data, panels={**scale, "image": as_text(strip(1)), "truth": as_text(strip(2))})
    measure_depths(plan, "teacher", {**guess(3), **scale})
    measure_depths(plan, "DistPro", {**guess(4), **scale})
    measure_depths(plan, "baseline", {**guess(5), **scale, "metres": [0.7, 9.0]})
    folder = report_of(plan)

    files = [path.read_bytes() for path in (folder / "panels/distpro-table6").iterdir()]
    assert sorted(files) == sorted(strip(shade) for shade in (1, 2, 3, 4))
    page, site = ((folder / part).read_text() for part in DEPTH_PAGES)
    for text in (page, site):
        assert text.count("../panels/distpro-table6/") == 4
        assert "from 0.7 m, yellow, over green to 8.7 m, blue" in text
        assert "Black: not measured" in text
    assert "Classes:" not in page
    swatches = re.findall(r'fill="rgb(\(.*?\))"/></svg> ([\w. ]+)', site)
    depths = [f"{metres} m" for metres in (0.7, 2.7, 4.7, 6.7, 8.7)]
    assert [label for _, label in swatches] == [*depths, "not measured or not seen"]
    assert [colour for colour, _ in swatches] == [*map(str, shades(5)), "(0, 0, 0)"]


@pytest.mark.parametrize("metres", [[3.0, 1.0], [0.5, None], "far"])
def test_a_scale_that_is_none_is_one_clear_line(tmp_path, metres):
    """Of two depths the first is nearer."""
    plan = Project(tmp_path, **DEPTHS)
    measure_depths(plan, "baseline", {**guess(3), "metres": metres})

    with pytest.raises(DamagedData, match=r"panels\.metres.*: found .*expected") as error:
        report_of(plan)
    assert "\n" not in str(error.value)
