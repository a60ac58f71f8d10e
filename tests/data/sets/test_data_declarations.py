"""What the declarations of the package's data sets say, and the stand-ins that they ask for."""

import importlib.util

import pytest
from families import declaration

from kdbench.data.ingest.prepare import prepare_stand_in
from kdbench.data.loaders.joint import Joint
from kdbench.data.sets.digits import load
from kdbench.data.stored.maps import Mapped
from kdbench.data.stored.open import open_data
from kdbench.plan.components import find_components

NAMES = find_components().names("dataset")
DOWNLOADED = [name for name in NAMES if "archive" in declaration(name)]
SMOKING = [name for name in NAMES if declaration(name).get("smoke", {}).get("stand_in") == "digits"]
SCENES = [name for name in NAMES if declaration(name).get("smoke", {}).get("stand_in") == "scenes"]
STAND_INS = {  # results of the smoke scale hang on these very images: these are for ever
    "cifar10": "9b1aafd45ed703427db002a6bd86626f28ad505b09aabf8820a378bbe0649cba",
    "cifar100": "8b50cd3d3b4fd08c39811422c92c3e6cee0018c6f402402068859f0ec8350538",
    "cinic10": "42ad2a6ca57a26b8b61e50e12170a0e2b619d2744e8006aaadb89404b8497cdf",
    "cifar100-224": "b7db4d3a0288b6275b2487059d9cbb0c609abb4f4263aab0e778393c0462917c",
    "cifar100-64": "28d56eb57e64419739b16f1bf65830cb85f754531608b0e15599e1c6ae0bed2d",
    "imagenet": "f887fda017c8582c6799b05c987b03bc61be3aafa651da9ae24b39a64e0a23c1",
    "tinyimagenet_fifth": "2cf1d625c16a4fdfb49c120fc8d767d73d7c9adbf088e2b615c3c014ac6a19e9",
    "tinyimagenet-224": "ff1e6d326612d7cafe6cff183c7818a90630c1818f70a74343bedaa589f4a1a8",
    "tinyimagenet": "0b1fa95499f899427468c09a882e93e2011c13106b808ab301926ff352773667",
}

STAND_IN_SCENES = {  # as above
    "camvid": "0d08caded9f0f6303e2aca49448c775f651ff5767a8ca97aa8b9727180088821",
    "cityscapes": "cbe2f02ed283958e1d49d1cc0812af2651a64b80812a43db0c25f02b56594432",
    "nyuv2": "5153055e840733ad634143607e14b002c9bdd352e46d4b4dcb2fea153872e7cd",
    "nyuv2_labelled": "85cf395d22380a7ec153e7201bc807fb07a79b85ecb3f5414ca49af9fe3d6f63",
}


@pytest.mark.parametrize("name", NAMES)
def test_declarations_are_complete(name):
    """Every key that other parts read is there, of the right kind."""
    declared = declaration(name)

    assert declared["name"] == name
    assert {"label", "citation", "licence", "how"} <= set(declared)
    assert "source" in declared or declared["role"] == "stand-in"
    assert isinstance(declared["revision"], int)
    assert isinstance(declared["classes"], int)
    assert len(declared["image"]) == 3
    assert importlib.util.find_spec(declared["module"]) is not None


@pytest.mark.parametrize("name", DOWNLOADED)
def test_downloadable_data_sets_say_what_to_expect(name):
    """Address, checksum, size, counts, class names and statistics."""
    declared = declaration(name)
    archive, names = declared["archive"], declared["class_names"]

    assert archive["url"].startswith(("https://", "http://"))
    assert len(archive["checksum"].removeprefix("md5:")) == 32
    assert f"({archive['size'] / 1e6:.0f} MB)" in declared["how"]
    assert archive["root"]
    assert all(total % declared["classes"] == 0 for total in declared["splits"].values())
    assert names == sorted(set(names))
    assert len(names) == declared["classes"]
    assert len(declared["mean"]) == len(declared["std"]) == declared["image"][0]


@pytest.mark.parametrize("name", SMOKING)
def test_every_data_set_has_a_stand_in_of_its_own(name, tmp_path):
    """It keeps the data set's name and splits, says what it is, and is not turned round."""
    declared = declaration(name)
    smoke = declared["smoke"]
    stand_in = declaration(smoke["stand_in"])

    fingerprint = prepare_stand_in(name, smoke, stand_in, tmp_path / "out")

    data = open_data(tmp_path / "out")
    assert (data.name, data.stand_in, data.fingerprint) == (name, smoke["stand_in"], fingerprint)
    assert fingerprint == STAND_INS[name]
    assert set(data.splits) == set(declared["splits"])
    assert list(data.image) == stand_in["image"]
    assert len(data.classes) == stand_in["classes"]
    total = sum(len(data.labels(split)) for split in data.splits)
    assert total == stand_in["images"] == len(load()[1])
    assert not smoke["augment"].endswith("flip")


@pytest.mark.parametrize("name", SCENES)
def test_every_data_set_with_maps_has_scenes_of_its_own(name, tmp_path):
    """Of its task, under its name, never mirrored."""
    declared = declaration(name)
    smoke = declared["smoke"]
    stand_in = declaration(smoke["stand_in"])

    fingerprint = prepare_stand_in(name, smoke, stand_in, tmp_path / "out")

    data = Mapped.open(tmp_path / "out")
    assert fingerprint == STAND_IN_SCENES[name]
    assert (data.name, data.stand_in, data.task) == (name, "scenes", declared["task"])
    assert list(data.image) == stand_in["image"]
    assert sum(len(data.labels(split)) for split in data.splits) == stand_in["images"]
    assert not Joint.parse(smoke["augment"]).flip


def test_no_two_data_sets_share_a_stand_in():
    """A mistake of one for the other would not be seen."""
    smokes = [declaration(name)["smoke"] for name in SMOKING]

    assert len(set(STAND_INS.values())) == len(STAND_INS)
    for key in ("split_seed", "relabel"):
        assert len({smoke[key] for smoke in smokes}) == len(smokes)
