"""`kdbench check`: what cannot run is said before anything is trained."""

import pytest
from forked import Done
from tiny_project import TinyProject

from kdbench.errors import BadValue, UnknownName
from kdbench.plan.components import find_components
from kdbench.plan.graph import load_graph
from kdbench.runs.check import check

CODE = '''
from torch import nn

from kdbench.distill.schedules import FirstPart
from kdbench.errors import BadValue


class Picky(nn.Module):
    """Works for one width only, or gives what is asked for."""

    def __init__(self, student, teacher, *, result="shape"):
        super().__init__()
        self.result = result
        if result == "refuse":
            raise BadValue("picky", len(student.stages), "a student of two stages")
        if result == "first":
            self.first = FirstPart(1, 2, 0.1, trains_trunk=True)

    def forward(self, student, teacher, batch, position):
        """One term."""
        if self.result == "shape":
            return {"gap": (student.pooled[:, :7] - teacher.pooled).sum()}
        if self.result == "first":
            return {}
        gap = student.pooled.square()
        forms = {"bare": gap.mean(), "vector": {"gap": gap.mean(1)}, "number": {"gap": 1.0}}
        forms["detached"] = {"gap": gap.mean().detach()}
        if self.result in forms:
            return forms[self.result]
        return {"gap": student.logits.sum() * float("nan")}

    def first_terms(self, student, teacher, batch, position):
        """One term of a first part."""
        return {"start": student.pooled.sum() / 0}
'''
DECLARATION = """
kind = "method"
class = "Picky"
label = "Picky"
revision = 1
[defaults]
result = "shape"
"""


@pytest.fixture
def project(tmp_path):
    """A small project with a method of its own that does not fit."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/picky.py").write_text(CODE)
    (tmp_path / "own/picky.toml").write_text(DECLARATION)
    return TinyProject(tmp_path, plugins=[str(tmp_path / "own")])


def problems(project, **changes):
    """What a check of the project finds; of its own method alone, unless changes say more."""
    project.edit(**{"methods_only": ["picky"], **changes})
    return check(load_graph(project.root), lambda _: None)


def files_of(project):
    """All files and folders of a project, but for what Python caches of a plug-in's code."""
    return sorted(path for path in project.root.rglob("*") if "__pycache__" not in path.parts)


def test_what_does_not_fit_is_a_line_with_the_pair_and_the_reason(project):
    """Everything else can run; nothing is written."""
    before = files_of(project)
    (line,) = problems(project, methods_only=[])

    assert line.startswith("cifar100, resnet56:resnet20, picky: cannot run: RuntimeError: ")
    where = next(n for n, text in enumerate(CODE.splitlines(), 1) if "[:, :7]" in text)
    assert line.endswith(f" ({project.root}/own/picky.py, line {where})")
    assert "\n" not in line
    assert files_of(project) == before


def test_check_names_a_term_that_is_not_finite(project):
    """A batch of noise is enough to find it."""
    (line,) = problems(project, methods={"picky": {"result": "nan"}})

    assert line == "cifar100, resnet56:resnet20, picky: its term 'gap' is nan on noise"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("bare", "picky.py, forward: found 'Tensor', expected a dict of named scalars; return {"),
        ("vector", "picky.py, forward, term 'gap': found 'shape (2,)', expected a scalar; take a"),
        ("number", "picky.py, forward, term 'gap': found 'float', expected a tensor; leave out"),
    ],
)
def test_what_a_loss_returns_is_checked(project, result, words):
    """Method, term, found, expected and remedy are one line."""
    (line,) = problems(project, methods={"picky": {"result": result}})

    assert words in line and "\n" not in line


def test_a_loss_that_teaches_nothing_is_said(project):
    """It is no failure: it may learn in another way."""
    lines = []
    project.edit(methods_only=["picky"], methods={"picky": {"result": "detached"}})

    assert check(load_graph(project.root), lines.append) == []
    assert "picky: no gradient of its terms reaches the student" in lines[0]


@pytest.mark.parametrize(
    ("code", "declaration", "words"),
    [
        ("*, factor=1, result", "", "found \"no key 'factor'\", expected every keyword of Picky"),
        ("*, result", "resullt = 1", "Picky is called 'resullt'; did you mean 'result'"),
    ],
)  # fmt: skip
def test_keywords_and_declared_parameters_are_the_same(project, code, declaration, words):
    """A keyword that nobody can set, or a parameter that the class does not take."""
    folder = project.root / "own"
    (folder / "picky.py").write_text(CODE.replace("*, result", code))
    (folder / "picky.toml").write_text(f"{DECLARATION}{declaration}\n")
    (line,) = problems(project)

    assert words in line and "picky.toml, defaults" in line


def test_a_pair_that_a_method_refuses_is_a_line_in_its_own_words(project):
    """The line is what the method says when it is built, without the exception's name."""
    (line,) = problems(project, methods={"picky": {"result": "refuse"}})

    assert line == (
        "cifar100, resnet56:resnet20, picky: picky: found 4, expected a student of two stages"
    )


def test_check_tries_the_terms_of_a_first_stage(project):
    """A term that fails there is named though the main stage's are sound."""
    (line,) = problems(project, methods={"picky": {"result": "first"}})

    assert "picky: its term 'start' is " in line and line.endswith("inf on noise")


def test_check_refuses_a_method_with_other_pathways_than_its_search(project):
    """While planning: its scheme would not fit when the student starts, hours later."""
    methods = ["kd", "equal", "alpha_t", "distpro"]
    changes = {"searches": {"distpro": {"connections": "downward"}}, "plugins": []}

    with pytest.raises(BadValue, match="resnet56:resnet20, alpha_t, connections: found 'downward"):
        problems(project, methods_only=methods, **changes)


def test_names_choose_what_is_tried_and_every_try_is_a_tick(project):
    """A method with its teacher, and what it needs; a name that no run has is refused."""
    project.edit(methods_only=["none", "kd", "fitnet"], plugins=[])
    graph, lines, bars, ticks = load_graph(project.root), [], [], []

    def start_bar(*words):
        bars.append(words)
        return lambda: ticks.append(words)

    assert check(graph, lines.append, names=["kd"], start_bar=start_bar) == []
    tried = "tried once each: 1 teacher, 1 student runs that differ in more than their seed"
    assert lines == [tried] and bars == [("check", 2, 0)] and len(ticks) == 2
    with pytest.raises(UnknownName, match="did you mean 'kd'"):
        check(graph, lines.append, names=["kdd"])


def test_check_ends_with_one_line_and_an_exit_code(project):
    """The problems are lines of their own before it, an imported teacher's absent file as well."""
    project.edit(scale="lite", methods_only=["picky"], teachers={"cifar100/resnet56": "0" * 64})
    done = Done(project.root, "check")
    misfit, absent, last = done.stderr.splitlines()

    assert done.returncode == 2
    assert "picky" in misfit
    assert absent.startswith("teachers, cifar100/resnet56: no file ")
    assert absent.endswith("kdbench teacher import makes it")
    assert last == "kdbench: 2 of them cannot run; see the lines above"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"searches": {"distpro": {"gradient": "exactt"}}}, "did you mean 'exact'"),
        ({"searches": {"distpro": {"transforms": ["2conv", "4conv"]}}}, "'4conv'"),
        ({"methods": {"kd": {"temperature": 0.0}}}, "found 0.0, expected a number from 0.001"),
        ({"methods": {"equal": {"connections": "none"}}}, "choice is called 'none'"),
        ({"methods": {"crd": {"negatives": 0}}}, "expected a number from 1"),
        ({"methods": {"equal": {"maps": ["3-1"]}}}, "found '3-1', expected a text that matches t"),
    ],
)
def test_wrong_values_are_refused_while_planning(project, changes, words):
    """Choices, ranges and patterns stand in the declarations."""
    project.edit(**changes)
    with pytest.raises((BadValue, UnknownName), match=words):
        load_graph(project.root)


@pytest.mark.parametrize("kind", ["method", "search"])
def test_every_number_has_a_range_and_every_text_its_choices(kind):
    """No wrong value of a declared parameter waits for the run to start."""
    free = {("distpro", "tau"), ("alpha_t", "tau"), ("equal", "tau")}  # any number makes sense
    components, held = find_components(), set()
    for name in components.names(kind):
        declared = components.get(kind, name, where="test").declaration
        for key, value in declared.defaults.items():
            if isinstance(value, bool) or (name, key) in free:
                continue
            first = value[0] if isinstance(value, list) and value else value
            expected = ("ranges",) if isinstance(first, int | float) else ("choices", "patterns")
            present = [section for section in expected if key in getattr(declared, section)]
            assert len(present) == 1, f"{name}: {key} has {present} of {expected}"
            held.update(present)

    assert held == {"ranges", "choices", "patterns"}


def crd_at_the_size_of_imagenet(project):
    """What a check of CRD says, on a data set of 1.28 million images that was never prepared."""
    project.edit(
        methods_only=["crd"],
        plugins=[],
        scale="paper",
        exhibits=["own"],
        datasets=["imagenet"],
        pairs=[],
        scales={},
        tables=[{"id": "t", "dataset": "imagenet", "protocol": "crd",
                 "pairs": ["resnet34:resnet18"], "methods": ["crd"]}],
    )  # fmt: skip
    lines = []
    return check(load_graph(project.root), lines.append), lines


@pytest.mark.slow
def test_a_memory_of_very_many_images_is_said_with_its_bytes(project):
    """In one line; it is no failure, as another machine may have so much."""
    failures, (line, summary) = crd_at_the_size_of_imagenet(project)
    run = next(r for r in load_graph(project.root).runs.values() if r.phase == "student")
    images, batch = 1_281_167, run.recipe.batch
    size = 4 * 4 * 128 * images + 12 * batch * images

    assert failures == [] and summary.startswith("tried once each")
    assert line == (
        f"imagenet, resnet34:resnet18, crd: its memory of 1,281,167 training images, with batches "
        f"of {batch}, needs {size:,} bytes ({size / 1e9:.1f} GB) beside the networks"
    )


def test_a_memory_that_fits_is_not_spoken_of(project):
    """That of a small data set."""
    lines = []
    project.edit(methods_only=["crd"], plugins=[])
    check(load_graph(project.root), lines.append)

    assert len(lines) == 1
