"""Every declaration beside a component is well-formed; a new one is picked up by itself."""

import importlib
import inspect
import tomllib
from pathlib import Path

import pytest

import kdbench
from kdbench.errors import BadValue, UnknownName
from kdbench.exhibits.tables import requests_of
from kdbench.papers import catalogue
from kdbench.plan.components import PACKAGES, find_components

ROOT = Path(kdbench.__file__).parent


def _files(package):
    """Declarations of one of the package's folders, which its dotted name gives."""
    return sorted((ROOT / package.replace(".", "/")).glob("*.toml"))


DECLARED = [(kind, p) for kind, f in PACKAGES.items() for p in _files(f)]
ASSEMBLERS = {"method": {"task_weight", "teacher_bn"}, "search": {"held_out", "teacher_bn"}}
KEYS = {
    "method": {
        "defaults",
        "pairs",
        "smoke",
        "lite",
        "teacher_bn",
        "search",
        "needs_teacher",
        "fidelity",
        "reading",
        "choices",
        "ranges",
    },
    "search": {"defaults", "pairs", "smoke", "lite", "teacher_bn", "fidelity", "choices", "ranges"}
    | {"start"},
    "network": {"pattern", "examples", "arguments", "names", "from_stage", "image"},
    "dataset": {"classes", "image", "mean", "std", "splits", "licence", "source", "archive"}
    | {"smoke", "role", "images", "fingerprint", "how", "class_names", "tolerance", "formats"}
    | {"folders", "files", "keys", "archives", "each", "known"},
}
DFA = ("search", "method")
COMMON = {"class", "module", "label", "citation", "revision"}


def each(*kinds):
    """Runs a test with every declaration of the given kinds."""
    chosen = [(kind, path) for kind, path in DECLARED if kind in kinds]
    ids = [f"{kind}-{path.stem}" for kind, path in chosen]
    return pytest.mark.parametrize(("kind", "path"), chosen, ids=ids)


def component(kind, path):
    """The component of a declaration; of a network family, its first example."""
    declared = tomllib.loads(path.read_text(encoding="utf-8"))
    name = declared["examples"][0] if kind == "network" else path.stem
    return find_components().get(kind, name, where="test")


def test_each_kind_is_there():
    """The glob above found something of everything."""
    assert {kind for kind, _ in DECLARED} == set(PACKAGES)


@each("search")
def test_every_search_says_where_our_reading_begins(kind, path):
    """No paper leaves nothing open."""
    assert component(kind, path).declaration["fidelity"].startswith("our ")


def test_a_plain_loss_weighs_in_the_search_what_it_weighs_after_it():
    """A search with the loss of stage 2 is one with that loss, as heavy."""
    search, method = (find_components().get(k, "dfa_plain", where="test") for k in DFA)

    assert search.declaration["defaults"]["losses"] == "plain"
    weights = [one.declaration["defaults"]["gamma_fd"] for one in (search, method)]
    assert weights[0] == weights[1]


@each(*PACKAGES)
def test_the_common_keys_are_there(kind, path):
    """Label, citation, a revision from 1 on, and no key that nobody reads."""
    found = component(kind, path)
    declared = found.declaration

    assert declared["label"].strip() and declared["citation"].strip()
    assert type(declared["revision"]) is int and declared["revision"] >= 1
    assert found.revision == declared["revision"]
    assert declared.keys() <= COMMON | KEYS[kind]
    assert "{" not in found.label


@each(*PACKAGES)
def test_the_class_is_in_its_module(kind, path):
    """A data set has a module only."""
    found = component(kind, path)
    module = importlib.import_module(found.module)

    assert kind == "dataset" or inspect.isclass(getattr(module, found.class_name))


@each("method", "search", "network")
def test_defaults_are_what_the_class_takes(kind, path):
    """Besides what the assembler takes; and nothing that JSON cannot hold."""
    found = component(kind, path)
    cls = getattr(importlib.import_module(found.module), found.class_name)
    accepted = inspect.signature(cls).parameters.keys()
    given = {**found.declaration.get("defaults", {}), **found.arguments}

    assert given.keys() - ASSEMBLERS.get(kind, set()) <= accepted
    assert all(isinstance(v, bool | int | float | str | list) for v in given.values())


@each("method", "search")
def test_overrides_are_of_declared_parameters(kind, path):
    """Of a pair, or of a short scale; with values of the same kind."""
    declared = component(kind, path).declaration
    for override in [
        *declared.get("pairs", {}).values(),
        *(declared.get(s, {}) for s in ("smoke", "lite")),
    ]:
        for key, value in override.items():
            assert type(value) is type(declared["defaults"][key]), key
    assert declared.get("teacher_bn", "eval") in ("eval", "batch")
    components = find_components()
    for pair in declared.get("pairs", {}):
        for network in pair.split(":"):
            components.get("network", network, where="test")
    if "search" in declared:
        components.get("search", declared["search"], where="test")


def test_the_exhibits_name_components_that_exist():
    """Methods, searches, networks and data sets of every table and figure."""
    components = find_components()
    for exhibit in catalogue():
        asks = list(requests_of(exhibit))
        assert asks, exhibit.id
        for ask in asks:
            components.get("dataset", ask.dataset, where=exhibit.id)
            pair = getattr(ask, "pair", None)
            networks = [pair.teacher, pair.student] if pair else [ask.network]
            assert all(components.get("network", name, where=exhibit.id) for name in networks)
            for method in getattr(ask, "method", "none").split("+"):
                components.get("method", method, where=exhibit.id)
            searches = [a for a in (ask, getattr(ask, "found_by", None)) if a is not None]
            for search in searches:
                name = getattr(search, "search", None)
                assert name is None or components.get("search", name, where=exhibit.id)


def test_values_come_from_defaults_pairs_and_overrides_in_this_order():
    """The last that speaks wins."""
    reviewkd = find_components().get("method", "reviewkd", where="test")

    def weight(pair=None, **overrides):
        found = reviewkd.parameters(scale="paper", pair=pair, overrides=overrides, where="test")
        return found["weight"]

    assert weight() == 1.0
    assert weight("resnet56:resnet20") == 0.6
    assert weight("resnet56:resnet20", weight=3) == 3.0


def test_an_unknown_network_gets_the_nearest_name():
    """Nearest among the families' examples."""
    with pytest.raises(UnknownName, match="did you mean 'wrn-40-2'"):
        find_components().get("network", "wrn-40-2x", where="test")


@pytest.mark.parametrize(
    ("declaration", "said"),
    [
        ("label = 1 2", "valid TOML"),
        ('kind = "method"\nlabel = "X"', "revision"),
        ('kind = "loss"\nlabel = "X"\nrevision = 1', "one of method, network, dataset, search"),
        ('label = "X"\nrevision = 1', "one of method, network, dataset, search"),
        ('kind = "method"\nclass = "X"\nlabel = "X"\nrevision = 1', r"no file .*mine\.py"),
        (
            'kind = "method"\nclass = "X"\nmodule = "two"\nlabel = "X"\nrevision = 1',
            r"no file .*two\.py",
        ),
        ('kind = "network"\nlabel = "X"\nrevision = 1\nexamples = ["a"]', "no key 'pattern'"),
        ('kind = "network"\nlabel = "X"\nrevision = 1\npattern = "a"', "no key 'examples'"),
        (
            'kind = "network"\nlabel = "X"\nrevision = 1\npattern = "("\nexamples = ["a"]',
            "a regular expression",
        ),
        (
            'kind = "network"\nlabel = "X"\nrevision = 1\npattern = "a"\nexamples = "a"',
            "a list of names",
        ),
    ],
)
def test_a_bad_declaration_of_a_plugin_is_one_line(tmp_path, declaration, said):
    """It names the file."""
    (tmp_path / "mine.toml").write_text(declaration)
    with pytest.raises(BadValue, match=said) as caught:
        find_components([str(tmp_path)])

    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
