"""A search chooses, so it must not see a test image."""

import pytest
from tiny_project import SEARCH, STUDENT, TinyProject

from kdbench.data.loaders.in_memory import InMemoryLoader
from kdbench.data.stored import arrays as dataset
from kdbench.data.stored.arrays import Prepared
from kdbench.errors import BadValue
from kdbench.runs import search


class Touched(AssertionError):
    """Somebody looked at a test image."""


class Poison:
    """An array that raises whatever is done with it."""

    def __init__(self, array):
        self.shape, self.dtype = array.shape, array.dtype

    def __getattr__(self, name):
        raise Touched(name)

    def __getitem__(self, key):
        raise Touched(key)

    def __len__(self):
        raise Touched("len")

    def __array__(self, *_, **__):
        raise Touched("array")


@pytest.fixture
def poisoned(monkeypatch):
    """Every test split that is opened from now on is poison."""
    read = dataset.map_array

    def reading(path, *rest):
        array = read(path, *rest)
        return Poison(array) if path.name.startswith("test_") else array

    monkeypatch.setattr(dataset, "map_array", reading)


def test_a_search_touches_no_test_image(finished, poisoned, finished_once):
    """With poisoned test images it ends, and finds what it finds without poison."""
    finished.undo(SEARCH)

    finished.run(SEARCH)

    name = str(finished.folder(SEARCH).relative_to(finished.root) / "scheme.safetensors")
    assert finished.files()[name] == finished_once.files()[name]


def test_a_training_that_looks_at_poisoned_test_images_is_caught(finished, poisoned):
    """A student is evaluated on the test set after every epoch."""
    finished.undo(STUDENT)

    with pytest.raises(Touched):
        finished.run(STUDENT)


def test_the_view_of_a_search_has_no_test_split(finished_once):
    """Asked for by name, the split is refused in one line."""
    folder = finished_once.folder("data/cifar100") / "prepared"
    data = Prepared.open(folder).training_only()

    for look in (data.images, data.labels):
        with pytest.raises(BadValue, match="a search must not see test images"):
            look("test")


def test_no_image_is_both_trained_on_and_held_out(finished, monkeypatch):
    """Both come from the training split."""
    seen, serve = {}, InMemoryLoader.batch

    def spy(loader, epoch, step):
        batch = serve(loader, epoch, step)
        seen.setdefault(id(loader), []).append(batch.index.tolist())
        return batch

    monkeypatch.setattr(InMemoryLoader, "batch", spy)
    finished.undo(SEARCH)

    finished.run(SEARCH)

    fit, held = ([i for batch in batches for i in batch] for batches in seen.values())
    train = len(Prepared.open(finished.folder("data/cifar100") / "prepared").labels("train"))
    assert len(fit) == len(held) == 6 * 16
    assert not set(fit) & set(held)
    assert max(fit + held) < train


@pytest.mark.slow
def test_held_out_images_are_those_of_a_validation_split_where_there_is_one(tmp_path, monkeypatch):
    """All training images are then trained on."""
    monkeypatch.setenv("KDBENCH_DEVICE", "cpu")
    project = TinyProject(
        tmp_path,
        exhibits=["own"],
        datasets=["cinic10"],
        pairs=[],
        tables=[
            {"id": "own", "dataset": "cinic10", "pairs": ["resnet56:resnet20"], "methods": ["dfa"]}
        ],
    )
    made, make = {}, search.assemble.make_loader

    def spy(data, split, *rest, purpose="train", index=None):
        made[purpose] = (split, index)
        return make(data, split, *rest, purpose=purpose, index=index)

    monkeypatch.setattr(search.assemble, "make_loader", spy)
    project.run("search/resnet56_resnet20_dfa")

    assert made["held"] == ("valid", None)
    assert made["train"] == ("train", None)
