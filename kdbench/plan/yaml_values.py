"""YAML of params.yaml and of `--config`: every key once, text where the schema says text.

Plain words are read as YAML 1.2 and DVC read them (1e9 is a number, 2024-05-01 a text), and yes,
no, on and off are true and false as in YAML 1.1, which PyYAML follows. Numbers whose spelling the
two read differently (010, 1:30) stay text, so that a number's place refuses them.
"""

import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from kdbench.errors import BadValue
from kdbench.plan.validation import keys

try:
    from yaml import CSafeLoader as SafeLoader  # ten times as fast
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]

DEEPEST = 40  # levels of nesting
MOST_VALUES = 50_000  # what aliases repeat counts anew
TAG = "tag:yaml.org,2002:"
TEXT, MERGE = f"{TAG}str", f"{TAG}merge"
PLAIN_TAGS = {f"{TAG}{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")}
WORDS = {  # tag: what a plain word of that kind looks like, and how it may begin
    "bool": (
        r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
        "yYnNtTfFoO",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "int": (r"[-+]?(0|[1-9][0-9_]{0,17})|0x[0-9a-fA-F]{1,15}", "-+0123456789"),
    "float": (
        r"[-+]?([0-9][0-9_]{0,40}(\.[0-9_]{0,40}([eE][-+]?[0-9]{1,4})?|[eE][-+]?[0-9]{1,4})"
        r"|\.[0-9][0-9_]{0,40}([eE][-+]?[0-9]{1,4})?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "merge": (r"<<", "<"),
}


class ParamsLoader(SafeLoader):
    """PyYAML's safe loader with the words of this module's docstring."""


ParamsLoader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in WORDS.items():
    ParamsLoader.add_implicit_resolver(TAG + _name, re.compile(f"({_pattern})$"), [*_first])


def read_yaml(text: str, where: str, kind: Any = Any) -> Any:
    """Plain values of a YAML text: mappings, lists, texts, numbers, true, false, null.

    Args:
        text: one document.
        where: the file or option that it comes from, for errors.
        kind: the type that it is validated as afterwards; unquoted words stay text where it says
            text, so that a title may be 2024-05-01.

    Raises:
        BadValue: it is no YAML; a key stands twice; a tag, or too many or too deep values.
    """
    try:
        _check_depth(text, where)
        loader = ParamsLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}, where) > MOST_VALUES:
            raise BadValue(where, "too many values", f"at most {MOST_VALUES} values")
        _prepare(node, kind, where)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise BadValue(where, _problem(error), "valid YAML") from None


def _problem(error: yaml.YAMLError) -> str:
    """What PyYAML says, and where, in one line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"{problem} in line {mark.line + 1}, column {mark.column + 1}" if mark else problem


def _check_depth(text: str, where: str) -> None:
    """Refuse deep nesting before anything recursive reads it."""
    depth = 0
    for event in yaml.parse(text, Loader=ParamsLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise BadValue(where, f"more than {DEEPEST} levels", f"at most {DEEPEST} levels")


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _size(node: yaml.Node, sizes: dict[int, int], where: str) -> int:
    """Values in a node, with all that its aliases repeat."""
    if sizes.get(id(node)) == 0:
        raise BadValue(where, "an alias inside what it stands for", "aliases of other values")
    if id(node) not in sizes:
        sizes[id(node)] = 0
        sizes[id(node)] = 1 + sum(_size(child, sizes, where) for child in _children(node))
    return sizes[id(node)]


def _prepare(node: yaml.Node, kind: Any, where: str) -> None:
    """Check tags and keys, and make text of the words that the kind says are text."""
    if node.tag not in PLAIN_TAGS:
        raise BadValue(where, f"the tag {node.tag.replace(TAG, '!!')}", "values without tags")
    kind = _bare(kind)
    if isinstance(node, yaml.ScalarNode) and _is_text(kind) and node.tag != f"{TAG}null":
        node.tag = TEXT
    elif isinstance(node, yaml.SequenceNode):
        item = get_args(kind)[0] if get_origin(kind) is list else Any
        for child in node.value:
            _prepare(child, item, where)
    elif isinstance(node, yaml.MappingNode):
        _prepare_mapping(node, kind, where)


def _prepare_mapping(node: yaml.MappingNode, kind: Any, where: str) -> None:
    seen: set[str] = set()
    for key, value in node.value:
        if key.tag == MERGE:
            parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for part in parts:
                _prepare(part, kind, where)
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise BadValue(where, "a list or mapping as a key", "keys that are words")
        key.tag = TEXT
        if key.value in seen:
            line = f"in line {key.start_mark.line + 1}"
            raise BadValue(where, f"the key {key.value!r} again {line}", "each key once")
        seen.add(key.value)
        _prepare(value, _entry(kind, key.value), where)


def _entry(kind: Any, key: str) -> Any:
    """The type of a mapping's value."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        name = keys(kind).get(key)
        return kind.model_fields[name].annotation if name else Any
    return get_args(kind)[1] if get_origin(kind) is dict else Any


def _bare(kind: Any) -> Any:
    """A type without its constraints and without None."""
    while get_origin(kind) in (Annotated, Union, UnionType):
        (kind, *_) = (part for part in get_args(kind) if part is not type(None))
    return kind


def _is_text(kind: Any) -> bool:
    return kind is str or get_origin(kind) is Literal
