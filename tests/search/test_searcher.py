"""What every search is, and how a class that is none is refused."""

from dataclasses import replace

import pytest
import torch
from build_search import SGD, build

from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.errors import BadValue
from kdbench.exhibits.protocols import CRD
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.runs.assemble import make_searcher
from kdbench.search.sbs import SBSSearch
from kdbench.search.searcher import SearchBatch, Searcher, check_base, required, searcher_class
from kdbench.store.parts import SearchMethod

CPU = Precision("float32", False, torch.device("cpu"))
SMALL = {"classes": 5, "image": (3, 8, 8)}
METHODS = ["finding", "load_state_dict", "state_dict", "step"]
PLUGIN = """
class Mine:
    def __init__(self, student, teacher, **options):
        pass
"""


class Shortest(Searcher):
    """A search with what it must have and no more."""

    def __init__(self, student, teacher, *, lr, momentum, nesterov, weight_decay, autocast):
        self.optimiser = torch.optim.SGD(student.parameters(), lr=lr, momentum=momentum)

    def step(self, train, validation, position):
        """Nothing."""
        return {}

    def state_dict(self):
        """Nothing."""
        return {}

    def load_state_dict(self, state):
        """Nothing."""

    def finding(self):
        """Something."""
        return "what was found"


def search_part_of(module, class_name):
    """A search of that class, as a run holds it."""
    return SearchMethod(
        name="mine",
        module=module,
        class_name=class_name,
        parameters={"held_out": 0.5},
        teacher_mode="eval",
    )


def test_a_search_without_a_declared_share_holds_nothing_out():
    """It trains on all images, and its steps get no validation batch."""
    search = search_part_of(__name__, "Shortest")

    assert search.validation_share == 0.5
    assert replace(search, parameters={}).validation_share == 0.0


@pytest.fixture
def searcher():
    """The shortest search, built as the phase builds one."""
    student, teacher = (WideResNet(10, 1, **SMALL) for _ in range(2))
    return make_searcher(search_part_of(__name__, "Shortest"), student, teacher, CRD, 0, CPU)


def test_a_search_may_leave_every_hook_at_its_default(searcher):
    """It then trains nothing beside the student, has the teacher run whole, and runs to its end."""
    assert not list(searcher.connectors.parameters())
    assert not searcher.finished
    assert not searcher.teacher_on_validation
    assert searcher.teacher_depth(TrainingPosition(0, 1, 0, 1)) == (None, None)
    assert searcher.blank() == searcher.finding() == "what was found"


def test_the_learning_rate_is_that_of_the_optimiser(searcher):
    """It starts at the protocol's and is what was set last."""
    assert searcher.lr == CRD.lr
    searcher.lr = 0.25
    assert searcher.lr == searcher.optimiser.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize("name", ["dfa", "distpro", "sbs_kl"])
def test_our_searches_are_searchers(name):
    """Their constructors have no defaults but that of full precision."""
    networks = [WideResNet(10, 1, **SMALL), WideResNet(16, 1, **SMALL)]
    student, teacher = networks if name != "sbs_kl" else networks[:1] * 2
    search = build(name, student, teacher)

    assert isinstance(search, Searcher)
    with pytest.raises(TypeError, match="missing"):
        type(search)(student, teacher, **SGD)


def test_a_plugin_that_is_no_searcher_is_refused_in_one_line(tmp_path):
    """The line names the file, the class and what to derive from."""
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    search = search_part_of(str(file), "Mine")
    with pytest.raises(BadValue, match=r"derive .* kdbench\.search\.searcher\.Searcher") as caught:
        make_searcher(search, None, None, CRD, 0, CPU)

    assert str(file) in str(caught.value) and "Mine" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", METHODS)
def test_a_searcher_without_a_needed_method_is_refused_by_its_name(missing):
    """One that has all of them is taken as it is."""
    methods = {name: lambda self: None for name in METHODS}
    assert searcher_class(type("Mine", (Searcher,), methods), "mine.py").__name__ == "Mine"
    del methods[missing]
    with pytest.raises(BadValue, match=rf"mine\.py: .*the methods {missing} of"):
        searcher_class(type("Mine", (Searcher,), methods), "mine.py")


@pytest.mark.parametrize("half", [{}, {"compute": print}, {"note": print}])
def test_a_search_of_recordable_steps_has_both_halves_of_a_step(half):
    """Refused in one line when it is built, and not on the first GPU."""
    methods = {name: lambda self: None for name in METHODS} | {"uncaptured": ""}
    with pytest.raises(BadValue, match=r"mine\.py: .*the methods compute and note"):
        searcher_class(type("Mine", (Searcher,), methods | half), "mine.py")
    whole = methods | {"compute": print, "note": print}
    assert searcher_class(type("Mine", (Searcher,), whole), "mine.py").uncaptured == ""


def test_features_that_were_not_read_are_not_taken_for_read():
    """A batch without them raises where they are asked for; one with them gives them."""
    with pytest.raises(ValueError, match="teacher_on_validation"):
        SearchBatch(batch=None).features()
    assert SearchBatch(batch=None, teacher="features").features() == "features"


def test_a_needed_validation_batch_is_required():
    """None is refused by the name of the parameter that makes it so."""
    batch = SearchBatch(batch=None)
    assert required(batch) is batch
    with pytest.raises(BadValue, match="search, held_out"):
        required(None)


def test_a_base_that_cannot_read_what_it_found_is_refused_in_one_line():
    """Its class is named; one that says how passes."""
    with pytest.raises(BadValue, match=r"mine: found .class Shortest without load_finding"):
        check_base(Shortest, "mine")
    check_base(SBSSearch, "sbs")
