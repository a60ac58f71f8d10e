"""The two container recipes install the same, in the tested versions."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
RECIPES = ("containers/Containerfile", "containers/kdbench.def")


def commands(recipe):
    """What a recipe installs: the image, Debian's packages, the call of pip."""
    text = re.sub(r"\\\n\s*", "", (REPOSITORY / recipe).read_text())
    patterns = (r"python:[\w.-]+", r"apt-get install .*?(?=&|\n)", r"pip install [^&\n]*")
    return [match[0].split() for p in patterns if (match := re.search(p, text))]


def test_both_recipes_install_the_same():
    """One image, one list of packages, one call of pip with the constraints file."""
    one, other = (commands(recipe) for recipe in RECIPES)

    assert len(one) == 3
    assert one == other
    assert "--constraint constraints.txt" in " ".join(one[2])


def test_the_constraints_file_pins_what_clusters_need():
    """The plug-ins of the profiles, which the recipes install."""
    pinned = {line.partition("==")[0] for line in _lines("constraints.txt")}

    plugins = set(re.findall(r'"(snakemake-executor-plugin[\w-]+)"', _text("pyproject.toml")))

    assert len(plugins) == 2
    assert plugins <= pinned


def _text(name):
    return (REPOSITORY / name).read_text()


def _lines(name):
    return _text(name).splitlines()
