"""What a record was made by: code counts, words about it do not."""

import pytest
from plan_fixtures import planned

from kdbench.store import fingerprint
from kdbench.store.fingerprint import code_fingerprint, run_fingerprint

CODE = '''
"""A module."""


class Loss:
    """A class."""

    def term(self, x):
        """A method."""
        return 2 * x  # twice
'''
SAME = {
    "comment": CODE.replace("# twice", "# two times"),
    "module docstring": CODE.replace("A module.", "Another text."),
    "class docstring": CODE.replace("A class.", "Another text."),
    "method docstring": CODE.replace("A method.", "Another text."),
    "no docstring": CODE.replace('    """A class."""\n\n', ""),
    "layout": CODE.replace("2 * x", "(2  *  x)"),
}
OTHER = {
    "constant": CODE.replace("2 *", "3 *"),
    "operator": CODE.replace("2 *", "2 +"),
    "name": CODE.replace("term", "terms"),
    "text": CODE.replace("return 2 * x", 'return "2 * x"'),
    "default": CODE.replace("self, x", "self, x=1"),
}


def forget():
    """Have the code read anew: this process has changed it."""
    fingerprint._tree.cache_clear()
    fingerprint._fingerprint.cache_clear()


def of(folder, code):
    """Fingerprint of a file with this content."""
    folder.mkdir(exist_ok=True)
    file = folder / "loss.py"
    file.write_text(code)
    forget()
    return code_fingerprint([file])


@pytest.mark.parametrize("change", SAME)
def test_words_and_layout_do_not_count(tmp_path, change):
    """Comments, docstrings and brackets can be mended freely."""
    assert SAME[change] != CODE
    assert of(tmp_path, SAME[change]) == of(tmp_path, CODE)


@pytest.mark.parametrize("change", OTHER)
def test_code_counts(tmp_path, change):
    """Whatever could change a number."""
    assert of(tmp_path, OTHER[change]) != of(tmp_path, CODE)


def test_folders_do_not_count(tmp_path):
    """The same code elsewhere is the same code; the order of files is none."""
    assert of(tmp_path / "a", CODE) == of(tmp_path / "b", CODE)
    files = [tmp_path / name / "loss.py" for name in ("a", "b")]
    assert code_fingerprint(files) == code_fingerprint(reversed(files))


@pytest.fixture(scope="module")
def unchanged():
    """A small plan, and the fingerprints of its runs by the code as it is."""
    graph = planned(pairs=["resnet56:resnet20"], exhibits=["distpro/table1"])
    forget()
    return graph, {k: run_fingerprint(run) for k, run in graph.runs.items()}


def edited(package_copy, monkeypatch, unchanged, changed):
    """Cells of a small plan whose fingerprint an edit of one file changes, by phase."""
    graph, before = unchanged
    folder = package_copy("copy")
    monkeypatch.setattr(fingerprint, "ROOT", folder)
    with (folder / changed).open("a") as file:
        file.write("\nANOTHER = 1\n")
    forget()
    touched = [run for k, run in graph.runs.items() if run_fingerprint(run) != before[k]]
    forget()
    return {
        phase: {r.cell for r in touched if r.phase == phase} for phase in {r.phase for r in touched}
    }


CELL = "resnet56_resnet20"
METHODS = ("kd", "l2t_ww", "reviewkd", "equal", "alpha_t", "distpro")
ALL = {"resnet20_none_s0", *(f"{CELL}_{method}_s0" for method in METHODS)}
REACH = {
    "distill/reviewkd.py": {"student": {f"{CELL}_reviewkd_s0"}},
    "distill/kd.py": {"student": {f"{CELL}_kd_s0"}},
    "distill/hcl.py": {"student": ALL, "search": {f"{CELL}_distpro"}},
    "search/distpro.py": {"search": {f"{CELL}_distpro"}},
    "search/bilevel.py": {"search": {f"{CELL}_distpro"}},
    "models/families/shufflenet_v1.py": {},
    "plan/graph.py": {},
    "report/tables.py": {},
}


@pytest.mark.parametrize("changed", REACH)
def test_an_edit_reaches_the_runs_that_use_the_file(package_copy, monkeypatch, unchanged, changed):
    """A component's file reaches the runs that name it, a shared file its whole phase."""
    assert edited(package_copy, monkeypatch, unchanged, changed) == REACH[changed]


@pytest.mark.parametrize("changed", ["models/blocks.py", "engine/fit.py", "runs/training.py"])
def test_the_training_code_reaches_every_training(package_copy, monkeypatch, unchanged, changed):
    """Teachers, searches, students and evaluations."""
    touched = edited(package_copy, monkeypatch, unchanged, changed)

    assert touched.keys() == {"teacher", "search", "student", "evaluation"}
    assert touched["student"] == ALL


def test_a_fingerprint_does_not_depend_on_the_version_of_python(tmp_path):
    """Python 3.12 gave functions and classes a field more, which is empty in most code."""
    assert of(tmp_path, CODE) == "99d4ea217171"
