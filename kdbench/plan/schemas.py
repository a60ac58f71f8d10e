"""JSON Schemas of params.yaml and of the declarations, from which editors complete and check."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from kdbench.errors import UserError
from kdbench.exhibits.protocols import PROTOCOLS
from kdbench.papers import catalogue
from kdbench.plan.components import TEACHER_MODES, Component, find_components
from kdbench.plan.declarations import KINDS, Distiller
from kdbench.plan.params import OWN, RENAMED, Params
from kdbench.plan.scales import SCALES, Scale
from kdbench.plan.validation import TABLE_ID, descriptions, summary
from kdbench.store.atomic import write_text
from kdbench.store.disk import plain_errors

FOLDER = Path("schemas")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
AMOUNT = {"type": "number", "minimum": 0.0, "maximum": 1e9}  # what most parameters are
SEVERAL = 3
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
Schema = dict[str, Any]


def compose() -> dict[Path, str]:
    """Every schema by the file that holds it."""
    models = {kind: model.model_json_schema() for kind, model in KINDS.items()}
    named = {"params": _params(), **models}
    return {
        FOLDER / f"{name}.schema.json": _text({"$schema": DIALECT, "title": name, **schema})
        for name, schema in named.items()
    }


def write_schemas() -> list[Path]:
    """Write the schemas below the current folder; returns their paths.

    Raises:
        UserError: the disk is full, or a file cannot be written.
    """
    written = compose()
    with plain_errors(FOLDER):
        for path, text in written.items():
            write_text(path, text)
    return list(written)


def check_schemas() -> list[Path]:
    """Compare the files with what `write_schemas` would write; returns their paths.

    Raises:
        UserError: a file is missing or differs.
    """
    expected = compose()
    for path, text in expected.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            state = "not what the code says" if path.is_file() else "no such file"
            raise UserError(f"{path}: {state}; run kdbench schema")
    return list(expected)


def _text(schema: Schema) -> str:
    """A line per key whose value is an object: short, and a change shows as a line."""
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return text.replace('},"', '},\n"') + "\n"


def _params() -> Schema:
    """The schema of params.yaml, with the names that the package knows.

    Names that plug-ins may add are offered, others are left for the plan to check.
    """
    schema = Params.model_json_schema()
    keys, components, exhibits = schema["properties"], find_components(), catalogue()
    ids = [exhibit.id for exhibit in exhibits]
    papers = sorted({name.partition("/")[0] for name in ids})
    own = {"pattern": rf"^{OWN}(/{TABLE_ID.strip('^$')})?$"}
    keys["exhibits"]["items"] = {"anyOf": [{"enum": ["all", *papers, *ids]}, own]}
    datasets = [n for n in components.names("dataset") if not components.datasets[n][1].role]
    keys["datasets"]["items"] = _offered(datasets)
    keys["methods_only"]["items"] = _offered(components.names("method"))
    for kind, key in (("method", "methods"), ("search", "searches")):
        known = {n: components.get(kind, n, where="schema") for n in components.names(kind)}
        entries = {name: _parameters(component) for name, component in known.items()}
        keys[key]["properties"] = _once(entries, f"#/properties/{key}/properties")
    _define(
        schema["$defs"],
        [*keys["methods"]["properties"].values(), *keys["searches"]["properties"].values()],
    )
    schema["$defs"] |= {"amount": AMOUNT, "Scale": _settings()}
    keys["scales"].update(
        properties={name: _scale(scale) for name, scale in SCALES.items()},
        additionalProperties=False,
    )
    _complete_table(schema["$defs"]["CustomTable"]["properties"], datasets, components.names)
    schema["$defs"]["Elsewhere"]["properties"]["protocol"]["enum"] = ["", *PROTOCOLS]
    return schema


def _once(entries: Mapping[str, Schema], place: str) -> Schema:
    """The entries, of which equal ones refer to the first of them."""
    first = {_text(entry): name for name, entry in reversed(list(entries.items()))}
    names = {name: first[_text(entry)] for name, entry in entries.items()}
    return {
        name: entry if names[name] == name else {"$ref": f"{place}/{names[name]}"}
        for name, entry in entries.items()
    }


def _define(definitions: Schema, components: list[Schema]) -> None:
    """Give a definition to what several components say of a parameter, and refer to it."""
    parameters = [one["properties"] for one in components if "properties" in one]
    uses = Counter((key, _text(entry)) for one in parameters for key, entry in one.items())
    names: dict[tuple[str, str], str] = {}
    for one in parameters:
        for key, entry in one.items():
            use = key, _text(entry)
            if uses[use] < SEVERAL or "$ref" in entry:
                continue
            if use not in names:
                names[use] = key if key not in definitions else f"{key}-{len(names)}"
                definitions[names[use]] = entry
            one[key] = {"$ref": f"#/$defs/{names[use]}"}


def _complete_table(table: Schema, datasets: list[str], names: Any) -> None:
    """Offer names to a table's keys, and say which keys are of older files."""
    table["protocol"]["enum"] = list(PROTOCOLS)
    table["dataset"].update(_offered(datasets))
    table["methods"]["items"] = _offered(names("method"))
    for old, new in RENAMED.items():
        table[old] = {"type": "string", "deprecated": True, "description": f"Today {new}."}


def _offered(names: list[str]) -> Schema:
    """A text, of which these are known."""
    return {"anyOf": [{"enum": names}, {"type": "string"}]}


def _parameters(component: Component) -> Schema:
    """What params.yaml may set of a method or search."""
    declared = component.declaration
    if not isinstance(declared, Distiller):
        raise TypeError(f"a {component.kind} has no parameters")
    entries = {key: _parameter(key, value, declared) for key, value in declared.defaults.items()}
    if component.takes_teacher_bn:
        entries["teacher_bn"] = {"enum": list(TEACHER_MODES), "default": component.teacher_bn}
    return {"type": "object", "properties": entries, "additionalProperties": False}


def _parameter(key: str, default: Any, declared: Distiller) -> Schema:
    several = isinstance(default, list)
    sample = (default or [""])[0] if several else default
    entry: Schema = {"type": TYPES[type(sample)]}
    if key in declared.choices:
        entry["enum"] = declared.choices[key]
    if key in declared.ranges:
        entry["minimum"], entry["maximum"] = declared.ranges[key]
    if key in declared.patterns:
        entry["pattern"] = f"^({declared.patterns[key]})$"
    entry = {"$ref": "#/$defs/amount"} if entry == AMOUNT else entry
    return {**({"type": "array", "items": entry} if several else entry), "default": default}


def _settings() -> Schema:
    """What params.yaml may set of any scale."""
    entries: Mapping[str, Schema] = TypeAdapter(Scale).json_schema()["properties"]
    texts, left_out = descriptions(Scale), ("title", "default")
    settings = {
        name: {
            **{key: value for key, value in entries[name].items() if key not in left_out},
            "description": texts[name],
        }
        for name in _keys()
    }
    return {
        "type": "object",
        "description": summary(Scale),
        "properties": settings,
        "additionalProperties": False,
    }


def _scale(scale: Scale) -> Schema:
    """The values that a scale has where params.yaml sets none."""
    defaults = {name: {"default": getattr(scale, name)} for name in _keys()}
    return {"$ref": "#/$defs/Scale", "properties": defaults}


def _keys() -> list[str]:
    return [field.name for field in fields(Scale) if field.name not in ("name", "notice")]
