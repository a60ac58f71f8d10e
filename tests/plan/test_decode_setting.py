"""Which runs `decode: gpu` makes others of."""

import pytest

EXHIBITS = {"exhibits": ["distpro/table4"], "datasets": ["imagenet", "tinyimagenet-224"]}


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_images_that_stay_jpegs_alone_make_other_runs(planned, scale):
    """Searches on PNGs stay, and so do stand-ins; the data set itself is the same."""
    settings = {"scale": scale, **EXHIBITS}
    plain = planned(**settings)
    changed = planned(**settings, scales={scale: {"decode": "gpu"}})
    new = [run for key, run in changed.runs.items() if key not in plain.runs]
    old = [run for key, run in changed.runs.items() if key in plain.runs]

    if scale == "smoke":
        assert not new
        return
    assert {run.dataset for run in new} == {"imagenet"}
    assert {run.phase for run in new} >= {"teacher", "student", "evaluation"}
    assert {run.runtime.as_dict()["decode"] for run in new} == {"gpu"}
    assert {run.phase for run in old if run.dataset == "imagenet"} == {"data"}
    assert "search" in {run.phase for run in old}
    assert all("decode" not in run._parameters(identity=True) for run in old)
