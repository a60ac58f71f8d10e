"""Classes and functions are loaded by the name of their module or by the path of their file."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

from kdbench.errors import BadValue
from kdbench.plan.moved import MODULES, NAMES
from kdbench.plan.plugins import load_class, load_function

CODE = '''
"""A plug-in."""


class Loss:
    """A class."""


def prepare():
    """A function."""
    return 7
'''


@pytest.fixture
def file(tmp_path):
    """The file of a plug-in."""
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def one_line(caught, *words):
    """The message has no line break and all these words."""
    assert "\n" not in str(caught.value)
    for word in words:
        assert str(word) in str(caught.value)


def test_a_file_gives_its_class_and_its_function_by_name(file):
    """The class has its own name, and the function can be called."""
    assert load_class(str(file), "Loss").__name__ == "Loss"
    assert load_function(str(file), "prepare", data_set="mine")() == 7


def test_a_dotted_name_gives_the_class_of_the_package():
    """It is the very class that an import statement gives."""
    assert load_class("kdbench.errors", "BadValue") is BadValue


def test_a_loaded_plug_in_is_not_in_sys_modules(file):
    """So its file may have the name of any module of Python."""
    load_class(str(file), "Loss")

    assert "mine" not in sys.modules


def test_a_missing_class_or_function_is_named_with_its_file(file):
    """Each error is one line that says what was expected."""
    with pytest.raises(BadValue) as caught:
        load_class(str(file), "Lost")
    one_line(caught, file, "no class 'Lost'", "the class of the declaration")
    with pytest.raises(BadValue) as caught:
        load_function(str(file), "get", data_set="mine")
    one_line(caught, file, "no get", "a function `get` in the data set's module")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ValueError('one\\ntwo')", "ValueError: one two"),
        ("def", "SyntaxError: "),
    ],
)
def test_code_that_fails_when_it_is_imported_is_one_line_with_the_reason(file, code, reason):
    """Whether a class or a function is loaded."""
    file.write_text(code)
    for load in (load_class, lambda *a: load_function(*a, data_set="mine")):
        with pytest.raises(BadValue) as caught:
            load(str(file), "Loss")
        one_line(caught, file, reason, "code that can be imported")


def test_a_file_that_is_absent_is_named_with_its_owner(tmp_path):
    """The owner is `plugins` of params.yaml, or the data set."""
    absent = str(tmp_path / "absent.py")
    with pytest.raises(BadValue) as caught:
        load_class(absent, "Loss")
    one_line(caught, "plugins: ", absent, "a Python file")
    with pytest.raises(BadValue) as caught:
        load_function(absent, "prepare", data_set="mine")
    one_line(caught, "data set mine: ", absent, "a Python file")


def test_the_loader_of_plug_ins_does_not_import_torch():
    """A fresh interpreter has no torch after it has imported the loader."""
    program = "import sys, kdbench.plan.plugins; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("statement", ["import {module}", "from {package} import {name}"])
def test_an_import_of_a_module_that_moved_says_where_it_is_now(file, module, statement):
    """A plug-in of before the move gets one line with the new place, which exists."""
    package, _, name = module.rpartition(".")
    place = MODULES[module].partition(" ")[0]
    if place.startswith(f"{module}."):  # a package now, in which the content is one level down
        statement = "from {module} import Older"
    file.write_text(statement.format(module=module, package=package, name=name))

    with pytest.raises(BadValue) as caught:
        load_class(str(file), "Older")

    one_line(caught, file, f"; it is now {MODULES[module]}")
    assert importlib.util.find_spec(place) is not None


@pytest.mark.parametrize("name", NAMES)
def test_an_import_of_a_name_that_changed_says_what_it_is_now(file, name):
    """The module is where it was; the new name is there."""
    module, _, attribute = name.rpartition(".")
    file.write_text(f"from {module} import {attribute}")

    with pytest.raises(BadValue) as caught:
        load_class(str(file), "Older")

    one_line(caught, file, f"; it is now {NAMES[name]}")
    place, _, today = NAMES[name].rpartition(".")
    assert hasattr(importlib.import_module(place), today)


def test_an_import_that_fails_for_another_reason_gets_no_advice(file):
    """Of a module or name that never was."""
    for code in ("import kdbench.no_such", "from kdbench.errors import NoSuch"):
        file.write_text(code)
        with pytest.raises(BadValue) as caught:
            load_class(str(file), "Older")
        assert "it is now" not in str(caught.value)
