"""`kdbench schema`: JSON Schemas for editors."""

from typing import Annotated

import typer

from kdbench.console import say


def schema_command(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file is out of date.")
    ] = False,
) -> None:
    """Write the JSON Schemas of params.yaml and declarations to schemas/, for editors.

    Example: kdbench schema --check
    """
    from kdbench.plan.schemas import check_schemas, write_schemas

    for path in check_schemas() if check else write_schemas():
        say(f"{path}: up to date" if check else str(path))
