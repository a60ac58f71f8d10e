"""What pydantic models of files share: strict keys, and every error in one line."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from kdbench.errors import BadValue, UnknownName, UserError

# What pydantic's kinds of error say to a user.
EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "a number below {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a list, in square brackets",
    "model_type": "a mapping",
    "string_too_long": "a text of at most {max_length} characters",
    "string_too_short": "a text that is not empty",
    "string_type": "a text",
    "string_unicode": "a text in UTF-8",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entries",
}
LONGEST_NAME = 60  # of what becomes part of file names
LONGEST_LINE = 200  # of what is printed
SHA256 = r"^[0-9a-f]{64}$"
TABLE_ID = rf"^[a-z0-9][a-z0-9-]{{0,{LONGEST_NAME - 1}}}$"
FILE_NAME = r"^[^/\\]*$"
PATTERNS = {
    SHA256: "64 hex digits of a SHA-256",
    TABLE_ID: f"a table's id of a-z, 0-9 and -, at most {LONGEST_NAME} characters",
    FILE_NAME: "a file's name without its folder",
}
COMPONENT_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")
KEY = "[key]"  # where pydantic places an error about the key of a mapping
EXPLAINED = "Attributes:"  # in a docstring, what comes before the descriptions of the fields


def printable(text: str) -> str:
    """Refuse what no page and no terminal shows: control characters, halves of characters."""
    if not text.isprintable():
        raise PydanticCustomError("not_printable", "a text in one line, of printable characters")
    return text


Line = Annotated[str, Field(max_length=LONGEST_LINE), AfterValidator(printable)]
Label = Annotated[str, Field(min_length=1, max_length=LONGEST_LINE), AfterValidator(printable)]


class Strict(BaseModel):
    """A mapping in a file that has these keys and no others, without conversions.

    The docstrings of subclasses say, below `Attributes:`, what each field is: errors and JSON
    Schemas quote them.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra=lambda schema, model: _explain(schema, model)
    )


def one_line(model: type[BaseModel], where: str, error: ValidationError) -> UserError:
    """The first of pydantic's errors: the file, the key, what was found and what was expected.

    Args:
        model: what the content was validated as.
        where: the file, and the key that holds the content if it is not the whole of it.
        error: what pydantic raised.
    """
    first = first_of(error)
    *path, last = first["loc"] or ("",)
    if last == KEY and path and str(path[-1]) == str(first["input"]):
        return _wrong_key(where, path, first)
    owner = _model_at(model, path)
    if first["type"] == "extra_forbidden":
        return UnknownName("key", str(last), list(keys(owner)), where=_place(where, path))
    if first["type"] == "missing":
        field = keys(owner)[str(last)]
        advice = f"{last}: {descriptions(owner)[field].removesuffix('.')}"
        return BadValue(_place(where, path), f"no key {str(last)!r}", "a value for it", advice)
    return _wrong_value(_place(where, first["loc"]), "value", first)


def _wrong_key(where: str, path: Sequence[int | str], first: ErrorDetails) -> UserError:
    """A key that its mapping cannot have: pydantic lays that on a part `[key]` below it."""
    return _wrong_value(_place(where, path[:-1]), "key", first)


def _wrong_value(place: str, kind: str, first: ErrorDetails) -> UserError:
    """What was found at a place, and what was expected; `kind` is "value", or "key" of a key."""
    value = first["input"]
    if first["type"] == "literal_error" and isinstance(value, str):
        choices = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return UnknownName(kind, value, choices, where=place)
    if first["type"] == "string_pattern_mismatch":
        return BadValue(place, value, PATTERNS.get(first["ctx"]["pattern"], "another text"))
    if first["type"] not in EXPECTED:
        return BadValue(place, value, str(first["msg"]).removeprefix("Input should be "))
    expected = EXPECTED[first["type"]].format(**first.get("ctx", {}))
    return BadValue(place, value, expected.replace(" 1 entries", " one entry"))


def first_of(error: ValidationError) -> ErrorDetails:
    """The error that `one_line` tells."""
    # An unknown key is often the misspelt one that another error calls missing.
    first, *_ = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    return first


def keys(model: type[BaseModel]) -> dict[str, str]:
    """Names of a model's fields by their keys in files."""
    return {field.alias or name: name for name, field in model.model_fields.items()}


def descriptions(model: type) -> dict[str, str]:
    """What the docstring says of each field of a model or dataclass, inherited ones too."""
    documented: dict[str, str] = {}
    for base in (one for one in reversed(model.__mro__) if one not in BaseModel.__mro__):
        documented.update(_documented(base.__dict__.get("__doc__") or ""))
    return documented


def summary(model: type) -> str:
    """The docstring of a model or dataclass up to the descriptions of its fields."""
    text, _, _ = (model.__doc__ or "").partition(EXPLAINED)
    return " ".join(text.split())


def _explain(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Give a JSON Schema the docstring's descriptions; titles only repeat the keys."""
    texts = descriptions(model)
    schema.pop("title", None)
    schema["description"] = summary(model)
    for key, name in keys(model).items():
        schema["properties"][key].pop("title", None)
        schema["properties"][key]["description"] = texts[name]


def _documented(docstring: str) -> Iterator[tuple[str, str]]:
    """Fields and their descriptions in Google style; several may share one."""
    entries: list[tuple[str, list[str]]] = []
    for line in docstring.partition(EXPLAINED)[2].splitlines():
        names, colon, text = line.strip().partition(": ")
        indent = len(line) - len(line.lstrip())
        if colon and indent == 8:
            entries.append((names, [text]))
        elif entries and line.strip():
            entries[-1][1].append(line.strip())
    for names, lines in entries:
        for name in names.split(", "):
            yield name, " ".join(lines)


def _place(where: str, path: Collection[int | str]) -> str:
    """`params.yaml, tables.0.id`; or one level more where `where` names a key already."""
    parts = ".".join(map(str, path))
    if not parts:
        return where
    return f"{where}{'.' if ', ' in where else ', '}{parts}"


def _model_at(model: type[BaseModel], path: Sequence[int | str]) -> type[BaseModel]:
    """The model that the mapping at a place is validated as."""
    for part in path:
        field = model.model_fields.get(keys(model).get(str(part), ""))
        model = next(_models(field.annotation), model) if field else model
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models in an annotation such as `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
