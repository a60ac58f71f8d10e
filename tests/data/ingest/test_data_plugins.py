"""A data set of one's own, from a folder named in params.yaml: prepared, and read by a run."""

import pytest
from families import FAMILIES, one_line, toml
from forked import Done
from tiny_project import TinyProject

from kdbench.data.stored.arrays import Prepared
from kdbench.errors import BadValue, UserError
from kdbench.plan.build import Builder
from kdbench.plan.components import find_components
from kdbench.plan.params import Params
from kdbench.runs.execute import Options, run
from kdbench.store.fingerprint import run_fingerprint

FAMILY = FAMILIES["cinic10"]
CODE = '''
"""A data set and a stand-in of one's own."""

from kdbench.data.sets.cinic10 import prepare
from kdbench.data.sets.digits import prepare_stand_in as digits


def prepare_stand_in(out, *, name, share):
    """Digits, half of them to test with."""
    return digits(out, name=name, split_seed=0, test_share=share, relabel=0)
'''
SMOKE = {"stand_in": "ours", "augment": "crop1", "share": 0.5}


@pytest.fixture
def plugin(tmp_path):
    """Makes a folder with the data set "ours", which stands in for itself."""

    def make(code=CODE, name="own", **changes):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "ours.py").write_text(code)
        (folder / "ours.toml").write_text(toml(FAMILY.declared(smoke=SMOKE, **changes)))
        find_components.__globals__["_find_components"].cache_clear()
        return folder

    return make


def data_run(folder, scale):
    """The run of the data phase that an exhibit on this data set would ask for."""
    params = Params.model_validate({"scale": scale, "plugins": [str(folder)]})
    return Builder(params, find_components(params.plugins)).data("ours")


def do(project, spec):
    """Do it; the prepared data."""
    run(spec, project.paths, Options(say=lambda text: None))
    return Prepared.open(project.paths.artifacts(spec) / "prepared")


@pytest.mark.parametrize("scale", ["lite", "paper"])
def test_the_data_phase_prepares_it_from_what_is_there(tmp_path, plugin, scale):
    """The whole or a share, from the data that the command prepared."""
    folder, project = plugin(), TinyProject(tmp_path / "project", plugins=[str(tmp_path / "own")])
    source = FAMILY.write_folders(tmp_path / "source", FAMILY.content())

    code, output = command(project, "data", "prepare", "ours", "--source", str(source))
    assert code == 0, output
    assert "ours: 8 test, 12 train, 8 valid images, 4 classes, fingerprint" in output

    data = do(project, data_run(folder, scale))
    assert data.name == "ours"
    assert len(data.labels("train")) == (12 if scale == "paper" else 4)
    assert data.training_only().splits == ("train", "valid")


def command(project, *words):
    """A command in a process of its own; exit code and output."""
    done = Done(project.root, *words)
    return done.returncode, done.stdout + done.stderr


def test_a_stand_in_may_be_a_plugin_too(tmp_path, plugin):
    """All keys of [smoke] but those of the plan go to its function."""
    data = do(TinyProject(tmp_path / "project"), data_run(plugin(), "smoke"))

    assert (data.name, data.stand_in) == ("ours", "digits")
    assert len(data.labels("test")) == pytest.approx(1797 / 2, abs=10)


def test_without_data_the_error_says_how_to_get_it(tmp_path, plugin):
    """A run that needs a data set which cannot be downloaded ends with one line."""
    folder = plugin(archive={}, how="Request the authors.")
    with pytest.raises(UserError) as caught:
        do(TinyProject(tmp_path / "project"), data_run(folder, "paper"))
    one_line(caught, "ours, archive", "Request the authors.")


def test_a_module_without_the_function_is_named(tmp_path, plugin):
    """One line that names the file and the function."""
    folder = plugin(code='"""Nothing."""\n')
    for scale, function in (("paper", "prepare"), ("smoke", "prepare_stand_in")):
        with pytest.raises(BadValue) as caught:
            do(TinyProject(tmp_path / "project"), data_run(folder, scale))
        one_line(caught, folder / "ours.py", f"no {function}")


def test_a_data_set_without_a_stand_in_cannot_be_planned_at_smoke(plugin):
    """One line that names the declaration."""
    folder = plugin()
    text = (folder / "ours.toml").read_text()
    (folder / "ours.toml").write_text(text.replace("[smoke]", "[other]"))
    with pytest.raises(BadValue) as caught:
        data_run(folder, "smoke")
    one_line(caught, "ours.toml, smoke", "stand_in")


def test_its_code_is_in_the_digest_and_its_place_is_not(tmp_path, plugin):
    """An edit makes another run; another folder does not, and the package's digests stay."""
    here = data_run(plugin(), "paper")
    moved = (tmp_path / "own").rename(tmp_path / "moved")
    edited = data_run(plugin(CODE.replace("relabel=0", "relabel=1"), "edited"), "paper")

    assert data_run(moved, "paper").digest == here.digest != edited.digest
    assert here.module == str(tmp_path / "own" / "ours.py")
    assert run_fingerprint(edited) != run_fingerprint(data_run(moved, "paper"))
    params = Params.model_validate({"scale": "paper"})
    assert Builder(params, find_components()).data("cifar100").module == ""
