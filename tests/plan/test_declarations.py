"""Every declaration beside a component is well-formed; a new one is picked up by itself."""

import importlib
import inspect
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

import kdbench
from kdbench.errors import UnknownName, UserError
from kdbench.exhibits.requests import SearchRequest, StudentRequest
from kdbench.exhibits.tables import requests_of
from kdbench.papers import catalogue
from kdbench.plan.components import PACKAGES, find_components
from kdbench.plan.declarations import KINDS, DatasetDeclaration
from kdbench.plan.validation import descriptions

ROOT = Path(kdbench.__file__).parent


def _files(package):
    """Declarations of one of the package's folders, which its dotted name gives."""
    return sorted((ROOT / package.replace(".", "/")).glob("*.toml"))


DECLARED = [(kind, p) for kind, f in PACKAGES.items() for p in _files(f)]
ASSEMBLERS = {"method": {"task_weight", "teacher_bn"}, "search": {"held_out", "teacher_bn"}}
DFA = ("search", "method")


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


def test_the_package_declares_components_of_every_kind():
    """So the tests of this file run over every kind."""
    assert {kind for kind, _ in DECLARED} == set(PACKAGES)


@each("search")
def test_every_search_declares_where_our_reading_begins(kind, path):
    """Its `fidelity` starts with `our`."""
    assert component(kind, path).declaration.fidelity.startswith("our ")


def test_the_search_and_the_training_of_dfa_plain_weigh_the_plain_loss_alike():
    """Both declare the same `gamma_fd`, and the search takes the plain loss."""
    search, method = (find_components().get(k, "dfa_plain", where="test") for k in DFA)

    assert search.declaration.defaults["losses"] == "plain"
    weights = [one.declaration.defaults["gamma_fd"] for one in (search, method)]
    assert weights[0] == weights[1]


@each(*PACKAGES)
def test_every_component_has_a_label_a_citation_and_a_revision(kind, path):
    """The label is filled in, and the revision counts from 1."""
    known = component(kind, path)
    declared = known.declaration

    assert declared.label.strip() and declared.citation.strip()
    assert known.revision == declared.revision >= 1
    assert "{" not in known.label


def test_a_label_spells_the_value_of_an_argument_as_its_declaration_says():
    """Others stay as the name has them."""
    components = find_components()
    labels = {
        name: components.get("network", name, where="test").label
        for name in ("pspnet-resnet18", "pspnet-mobilenet-v2", "wrn-16-2")
    }
    assert [*labels.values()] == ["PSPNet-ResNet18", "PSPNet-MobileNet-v2", "WRN-16-2"]


@each(*PACKAGES)
def test_a_declaration_holds_what_its_file_says(kind, path):
    """No key is lost or converted on the way through the model."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))

    assert component(kind, path).declaration.as_written == content
    numbers = [repr(v) for v in content.get("defaults", {}).values()]
    assert [
        repr(v) for v in getattr(component(kind, path).declaration, "defaults", {}).values()
    ] == (numbers)


@each(*PACKAGES)
def test_the_declared_class_is_in_the_declared_module(kind, path):
    """A data set, which needs no class, has a module that can be imported."""
    known = component(kind, path)
    module = importlib.import_module(known.module)

    assert kind == "dataset" or inspect.isclass(getattr(module, known.class_name))


@each("method", "search", "network")
def test_a_class_accepts_every_declared_default(kind, path):
    """All but those that the assembler takes, which are listed here."""
    known = component(kind, path)
    cls = getattr(importlib.import_module(known.module), known.class_name)
    accepted = inspect.signature(cls).parameters.keys()
    given = {**getattr(known.declaration, "defaults", {}), **known.arguments}

    assert given.keys() - ASSEMBLERS.get(kind, set()) <= accepted
    assert all(isinstance(v, bool | int | float | str | list) for v in given.values())


@each("method", "search")
def test_overrides_are_of_declared_parameters_and_have_the_type_of_the_default(kind, path):
    """The networks of their pairs and the search that a method needs exist."""
    declared = component(kind, path).declaration
    for override in [*declared.pairs.values(), declared.smoke, declared.lite]:
        for key, value in override.items():
            assert type(value) is type(declared.defaults[key]), key
    components = find_components()
    for pair in declared.pairs:
        assert all(components.get("network", name, where="test") for name in pair.split(":"))
    if kind == "method" and declared.search:
        assert components.get("search", declared.search, where="test")


def test_every_exhibit_names_components_that_exist():
    """Data sets, networks, methods and searches of its requests, pruning searches included."""
    components, named = find_components(), set()
    for exhibit in catalogue():
        requests = list(requests_of(exhibit))
        assert requests, exhibit.id
        for request in requests:
            pair = getattr(request, "pair", None)
            networks = [pair.teacher, pair.student] if pair else [request.network]
            named |= {("dataset", request.dataset), *(("network", name) for name in networks)}
            if isinstance(request, StudentRequest):
                named |= {("method", name) for name in request.method.split("+")}
            for search in (request, getattr(request, "pruned_by", None)):
                if isinstance(search, SearchRequest):
                    named.add(("search", search.search))

    assert all(components.get(kind, name, where="test") for kind, name in named)
    assert {kind for kind, _ in named} == set(PACKAGES)
    assert {("search", "distpro"), ("search", "sbs_kl")} <= named


def test_an_override_beats_the_pair_s_value_which_beats_the_default():
    """ReviewKD has a weight of its own for the pair of this test."""
    reviewkd = find_components().get("method", "reviewkd", where="test")

    def weight(pair=None, **overrides):
        values = reviewkd.parameters(scale="paper", pair=pair, overrides=overrides, where="test")
        return values["weight"]

    assert weight() == 1.0
    assert weight("resnet56:resnet20") == 0.6
    assert weight("resnet56:resnet20", weight=3) == 3.0


def test_an_error_about_an_unknown_network_names_the_nearest_one():
    """The nearest of the families' examples."""
    with pytest.raises(UnknownName, match="did you mean 'wrn-40-2'"):
        find_components().get("network", "wrn-40-2x", where="test")


METHOD = 'kind = "method"\nclass = "X"\nlabel = "X"\nrevision = 1\n'
NETWORK = METHOD.replace("method", "network") + 'pattern = "a"\nexamples = ["a"]\n'
DATASET = 'kind = "dataset"\nlabel = "X"\nrevision = 1\n'
MISTAKES = {  # a plug-in's declaration: what the line must say
    "label = 1 2": ["valid TOML"],
    METHOD.replace("revision", "revisoin"): ["no key is called 'revisoin'", "mean 'revision'?"],
    METHOD.replace("= 1", "= 1.5"): ["mine.toml, revision: found 1.5", "a whole number"],
    METHOD.replace("method", "loss"): ["kind: found 'loss'", "one of method, network, dataset"],
    'label = "X"\nrevision = 1': ["kind: found None", "one of method, network, dataset, search"],
    METHOD: ["no file", "mine.py"],
    METHOD + 'module = "two"': ["no file", "two.py"],
    METHOD + 'module = "../two"': ["module: found '../two'", "a file's name without its folder"],
    METHOD.replace('"method"', '["method"]'): ["kind: found ['method']", "one of method, network"],
    METHOD.replace('label = "X"', 'label = "X {y}"'): ["label: found 'X {y}'", "braces"],
    METHOD.replace('class = "X"', 'class = ""'): ["class: found ''", "a text that is not empty"],
    METHOD + "teacher_bm = 1": ["no key is called 'teacher_bm'", "did you mean 'teacher_bn'?"],
    METHOD + 'teacher_bn = "evla"': ["mine.toml, teacher_bn", "did you mean 'eval'?"],
    METHOD + "needs_teacher = 1": ["needs_teacher: found 1", "true or false"],
    METHOD + "defaults = 3": ["defaults: found 3", "a mapping"],
    METHOD + "[defaults]\nw = 2026-01-01": ["defaults.w: found", "a finite number"],
    METHOD + "[defaults]\nw = nan": ["defaults.w: found nan", "a finite number"],
    METHOD + "[ranges]\nw = [0, 1]": ["mine.toml, ranges: no parameter is called 'w'"],
    METHOD + "[defaults]\nw = 2\n[patterns]\nw = 'a'": ["w: found 2", "text that matches a"],
    METHOD + "[defaults]\nw = ['ab']\n[patterns]\nw = 'a'": ["w: found 'ab'", "matches a"],
    METHOD + "[defaults]\nw = 'a'\n[patterns]\nw = '('": ["patterns.w: found '('"],
    METHOD + "[defaults]\nw = 2\n[ranges]\nw = [0]": ["ranges.w: found [0]"],
    METHOD + "[defaults]\nw = 2\n[ranges]\nw = [0, 1]": ["w: found 2", "from 0 to 1"],
    METHOD + "[defaults]\nw = 'a'\n[ranges]\nw = [0, 1]": ["w: found 'a'", "a number from 0"],
    METHOD + "[defaults]\nw = [['a']]\n[choices]\nw = ['a']": ["no choice is called", "'a'"],
    METHOD + "[defaults]\nw = ['a', 'a']\n[choices]\nw = ['a']": ["w: found", "each once"],
    METHOD + '[defaults]\nw = "a"\n[choices]\nw = ["b"]': ["no choice is called 'a'"],
    METHOD.replace("method", "search") + 'start = "student"': ["start", "known: teacher"],
    NETWORK.replace("pattern", "patern"): ["no key is called 'patern'", "mean 'pattern'?"],
    NETWORK.replace('"a"\ne', '"("\ne'): ["pattern: found '('", "a regular expression"],
    NETWORK.replace("examples", "exmples"): ["no key is called 'exmples'", "mean 'examples'?"],
    NETWORK.replace('["a"]', '"a"'): ["examples: found 'a'", "a list"],
    NETWORK.replace('["a"]', "[]"): ["examples: found []", "at least one entry"],
    NETWORK.replace('"X"\nr', '"X-{depth}"\nr'): ["label: found 'X-{depth}'", "nothing"],
    NETWORK + "image = [3, 32]": ["image: found [3, 32]", "at least 3 entries"],
    NETWORK + "[names]\nours = [['a']]": ["names.ours.0: found ['a']"],
    DATASET + 'classes = "ten"': ["classes: found 'ten'", "a whole number"],
    DATASET + "[archive]\nulr = 'x'": ["mine.toml, archive: no key is called 'ulr'", "'url'"],
    DATASET + 'fingerprint = "abc"': ["fingerprint: found 'abc'", "64 hex digits"],
}


@pytest.mark.parametrize("declaration", MISTAKES, ids=ascii)
def test_a_mistake_in_a_plug_in_s_declaration_is_one_line(tmp_path, declaration):
    """The line names the file and the key, what was found, and what was expected."""
    (tmp_path / "mine.toml").write_text(declaration)
    with pytest.raises(UserError) as caught:
        find_components([str(tmp_path)])
    line = str(caught.value)

    assert "mine.toml" in line and "\n" not in line
    assert all(part in line for part in MISTAKES[declaration]), line


def test_a_plug_in_s_data_set_may_have_keys_of_its_own(tmp_path):
    """Its own `prepare` gets the whole declaration."""
    (tmp_path / "mine.toml").write_text(DATASET + 'shelf = "north"\n')
    (tmp_path / "mine.py").touch()
    described = find_components([str(tmp_path)]).get("dataset", "mine", where="test").described

    assert described["shelf"] == "north" and described["module"] == str(tmp_path / "mine.py")


def test_a_data_set_of_the_package_may_not_have_an_unknown_key():
    """The error names the key."""
    with pytest.raises(ValidationError, match="tolerence"):
        DatasetDeclaration(label="X", revision=1, tolerence=0.1)


@pytest.mark.parametrize("kind", PACKAGES)
def test_every_key_of_a_declaration_is_documented(kind):
    """Each key has a sentence, which errors about missing keys and the JSON Schemas quote."""
    documented = descriptions(KINDS[kind])

    assert set(KINDS[kind].model_fields) == set(documented)
    assert all(text.endswith(".") for text in documented.values())
