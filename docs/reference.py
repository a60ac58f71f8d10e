"""Write the pages below reference/ from what they describe: `make reference`; --check compares.

Commands come from the command line itself, keys of params.yaml and of declarations from their
JSON Schemas.
"""

import json
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import typer
from pydantic import TypeAdapter

from kdbench.cli import app
from kdbench.plan.declarations import (
    DatasetDeclaration,
    MethodDeclaration,
    NetworkDeclaration,
    SearchDeclaration,
)
from kdbench.plan.params import Params
from kdbench.plan.scales import SCALES, Scale

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `make reference`; edit the help text or the docstring instead. -->\n"
DECLARATIONS = {
    "method": MethodDeclaration,
    "search": SearchDeclaration,
    "network": NetworkDeclaration,
    "data set": DatasetDeclaration,
}


def _cell(text: str) -> str:
    """A text as one cell of a table."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def _option(param: Any) -> str:
    """One row of a command's table: how it is written and what it means."""
    if param.param_type_name == "argument":  # its name alone: usage has the rest
        written = f"`{param.name.upper()}`"
    else:
        written = ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])
    needed = " Required." if param.required else ""
    return f"| {written} | {_cell(param.help or '')}{needed} |"


def _command(name: str, command: Any) -> list[str]:
    """The section of one command: what it does, how it is called, its options."""
    context = command.make_context(name, [], resilient_parsing=True)
    usage = command.get_usage(context).removeprefix("Usage: ")
    paragraphs = re.split(r"\n\s*\n", (command.help or "").strip())
    lines = [f"## {name}", ""]
    for paragraph in paragraphs:
        example = re.match(r"Examples?:\s*(.*)", paragraph, re.S)
        if example:
            lines += ["```sh", re.sub(r"\s+", " ", example[1]).strip(), "```", ""]
        else:
            lines += [re.sub(r"\s+", " ", paragraph).strip(), ""]
    lines += ["```text", usage, "```", ""]
    rows = [_option(param) for param in command.params if param.name != "help"]
    if rows:
        lines += ["| argument or option | meaning |", "|---|---|", *rows, ""]
    return lines


def _walk(name: str, command: Any) -> list[str]:
    """The sections of a group's commands, in the order of the alphabet."""
    if not hasattr(command, "commands"):
        return [] if command.hidden else _command(name, command)
    return [
        line
        for part in sorted(command.commands)
        for line in _walk(f"{name} {part}", command.commands[part])
    ]


def commands_page() -> str:
    """Every command with its options, as `--help` has them."""
    group = typer.main.get_command(app)
    lines = [
        "# Commands",
        "",
        f"{group.help} Every command has `--help`. Errors that you can fix are one line, and the "
        "exit code is not zero.",
        "",
        *_walk("kdbench", group),
    ]
    return NOTE + "\n".join(lines).rstrip() + "\n"


def _type(schema: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        return f"a table, see `{schema['$ref'].rpartition('/')[2]}`"
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return {"null": "null", "object": "table", "string": "text", "boolean": "true or false"}.get(
        kind, str(kind)
    )


def _keys(schema: dict[str, Any]) -> list[str]:
    """A table of a schema's keys."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in schema.get("properties", {}).items():
        default = "" if key in schema.get("required", ()) else f"`{value.get('default')}`"
        default = "" if default == "`None`" else default
        meaning = _cell(value.get("description", ""))
        rows.append(f"| `{key}` | {_cell(_type(value))} | {default} | {meaning} |")
    return [*rows, ""]


def _model(title: str, model: Any) -> list[str]:
    """The section of a pydantic model and of the models within it."""
    schema = model.model_json_schema()
    lines = [f"## {title}", "", *_keys(schema)]
    for name, inner in schema.get("$defs", {}).items():
        if "properties" in inner:
            lines += [f"### {name}", "", *_keys(inner)]
    return lines


def _scales() -> list[str]:
    """The section of a scale's settings: meanings from the docstring, values of every scale."""
    text = re.split(r"Attributes:\n", Scale.__doc__ or "")[1]
    entries = re.findall(r"^ {8}([a-z_, ]+): (.*(?:\n {12}.*)*)", text, re.M)
    meanings = {name: said for names, said in entries for name in names.split(", ")}
    hints = get_type_hints(Scale, include_extras=True)
    lines = [
        "## Settings of scales",
        "",
        "Under `scales`, by scale: `scales: {lite: {train_share: 0.5}}`. null leaves a setting as "
        "the protocol or exhibit has it. A data set's `[lite]` goes before the value of `lite`.",
        "",
        f"| setting | value | {' | '.join(f'`{name}`' for name in SCALES)} | meaning |",
        "|---|---|" + "---|" * len(SCALES) + "---|",
    ]
    for name in (field.name for field in fields(Scale) if field.name not in ("name", "notice")):
        values = [f"`{json.dumps(getattr(scale, name))}`" for scale in SCALES.values()]
        kind = _cell(_type(TypeAdapter(hints[name]).json_schema()))
        lines.append(f"| `{name}` | {kind} | {' | '.join(values)} | {_cell(meanings[name])} |")
    return [*lines, ""]


def params_page() -> str:
    """Every key of params.yaml."""
    lines = [
        "# params.yaml",
        "",
        "What runs. The file holds only what differs from the defaults; every key may be left out. "
        "Unknown keys and wrong values are refused in one line. `kdbench schema` writes the JSON "
        "Schema with the names and ranges of every parameter, which editors complete and check.",
        "",
        "`--override JSON` (of `kdbench`) and `--config KEY=VALUE` (of Snakemake) replace "
        "top-level keys for one call.",
        "",
        *_model("Keys", Params),
        *_scales(),
    ]
    return NOTE + "\n".join(lines).rstrip() + "\n"


def declarations_page() -> str:
    """Every key of the four kinds of declarations."""
    lines = [
        "# Declarations",
        "",
        "A method, search, network or data set is a module and a declaration of the same name, "
        "such as `kd.py` and `kd.toml`. The plan reads the declarations alone.",
        "",
    ]
    for title, model in DECLARATIONS.items():
        lines += _model(f"Of a {title}", model)
    return NOTE + "\n".join(lines).rstrip() + "\n"


PAGES = {
    "commands.md": commands_page,
    "params.md": params_page,
    "declarations.md": declarations_page,
}


def main(check: bool) -> int:
    """Write the pages, or name those that are out of date; returns the exit code."""
    stale = [name for name, page in PAGES.items() if _old(name) != page()]
    if check:
        for name in stale:
            print(f"docs/reference/{name} is out of date: make reference")
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
    return 0


def _old(name: str) -> str:
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
