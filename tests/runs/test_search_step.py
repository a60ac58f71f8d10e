"""One step of the search phase: what a searcher is given."""

from types import SimpleNamespace

import pytest
import torch

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.exhibits.protocols import CRD
from kdbench.models.pruning.structure import Structure
from kdbench.runs.search import SearchStep, _base
from kdbench.search.searcher import TeacherDepth

CPU = Precision("float32", False, torch.device("cpu"))
WHOLE = TeacherDepth()


def batch(number):
    """A batch that can be told from others."""
    return Batch(torch.full((2, 3, 4, 4), float(number)), torch.arange(2), torch.arange(2))


def spy(*, teacher_on_validation, depth=WHOLE):
    """A searcher that returns what it is given, and a teacher whose features are the images."""
    searcher = SimpleNamespace(
        lr=None,
        teacher_on_validation=teacher_on_validation,
        teacher_depth=lambda position: depth,
        reads_held_out=lambda position: True,
        step=lambda train, validation, position: (train, validation),
    )
    return searcher, SimpleNamespace(read=lambda images, until: (f"up to {until}", images))


class Loader:
    """Three validation batches per epoch, numbered 10 to 12, from 20 on in the second epoch."""

    steps = 3

    def batch(self, epoch, step):
        """The batch of a place."""
        return batch(10 * (epoch + 1) + step)


@pytest.mark.parametrize("wanted", [True, False])
def test_validation_batches_go_round_and_have_features_if_the_search_wants_them(wanted):
    """Step 4 of epochs of three has the second batch of the second epoch."""
    searcher, teacher = spy(teacher_on_validation=wanted)
    step = SearchStep(searcher, teacher, Loader(), CRD, 10, CPU)
    train, validation = step(batch(1), TrainingPosition(4, 20, 0, 2))

    assert train.batch.images.mean() == 1 and train.teacher[1] is train.batch.images
    assert validation.batch.images.mean() == 21
    assert (validation.teacher is not None) == wanted
    assert not wanted or validation.teacher[1] is validation.batch.images


def test_the_teacher_runs_as_deep_as_a_step_looks():
    """Each batch has its own depth, and None is the whole network."""
    searcher, teacher = spy(teacher_on_validation=True, depth=TeacherDepth(3, 1))
    step = SearchStep(searcher, teacher, Loader(), CRD, 10, CPU)
    position = TrainingPosition(4, 20, 0, 2)
    assert [data.teacher[0] for data in step(batch(1), position)] == ["up to 3", "up to 1"]

    searcher.teacher_depth = lambda position: TeacherDepth()
    assert {data.teacher[0] for data in step(batch(1), position)} == {"up to None"}


def test_without_a_validation_share_there_is_no_validation_batch():
    """A search gets None, even if it would want the teacher's features."""
    searcher, teacher = spy(teacher_on_validation=True)
    step = SearchStep(searcher, teacher, None, CRD, 10, CPU)

    assert step(batch(1), TrainingPosition(0, 20, 0, 2))[1] is None


def test_the_learning_rate_follows_the_schedule():
    """It is set before every step, and lower at the end than at the start."""
    searcher, teacher = spy(teacher_on_validation=False)
    step = SearchStep(searcher, teacher, None, CRD, 10, CPU)
    step(batch(1), TrainingPosition(0, 2400, 0, 240))
    first = searcher.lr
    step(batch(1), TrainingPosition(2399, 2400, 239, 240))

    assert first == CRD.lr
    assert searcher.lr < first


def test_a_search_gets_what_its_base_found(tmp_path):
    """It is read from the artifacts of the base's run, by the base's class; others get nothing."""
    found = Structure("DenseNet", {}, {"norm": [0, 2]}, {"largest_kl": 2.5})
    found.save(tmp_path)
    base = SimpleNamespace(
        search=SimpleNamespace(module="kdbench.search.sbs", class_name="SBSSearch")
    )
    folders = SimpleNamespace(folder=lambda run: tmp_path if run is base else None)
    job = SimpleNamespace(spec=SimpleNamespace(base=base), inputs=folders)

    assert _base(job) == found
    assert _base(SimpleNamespace(spec=SimpleNamespace(base=None), inputs=folders)) is None
