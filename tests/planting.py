"""Replace a piece of code that is named, not quoted: by module, function and what is inside it.

A place is `module:name`, or `module` alone where only private functions hold the text. The module
is the end of its dotted name ("sp", "runs.training") and must mean one file of the package,
wherever that lies. The name is that of a function, a class, a method (`CRD.draw`) or an assignment.
What is replaced is compared token by token, so line breaks, comments and trailing commas do not
matter; `$x` stands for any one name and may be used in the replacement. Text inside f-strings
cannot be named: Python 3.11 reads each as one token.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

HOLE = "hole_of_a_pattern_"
LAYOUT = (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT,
          tokenize.ENDMARKER)  # fmt: skip
Token = tokenize.TokenInfo


class DoesNotApply(Exception):
    """A place or what is replaced there does not exist, or is not unique."""


def planted(package: Path, place: str, right: str, wrong: str) -> tuple[Path, str]:
    """The file with the place and its text after the replacement; nothing is written.

    Args:
        package: the folder of the package.
        place: `module:name`, or `module` for the whole of it.
        right: what stands there exactly once.
        wrong: what is put in its place.

    Raises:
        DoesNotApply: module, name or text is not there exactly once, or the result is no Python.
    """
    module, _, name = place.partition(":")
    file = file_of(package, module)
    text = file.read_text(encoding="utf-8")
    first, last = lines_of(ast.parse(text), name, place) if name else (1, text.count("\n") + 1)
    inside = [token for token in tokens_of(text) if first <= token.start[0] <= last]
    matches = list(occurrences(inside, tokens_of(holes(right))))
    if len(matches) != 1:
        raise DoesNotApply(f"{place}: {right!r} stands there {len(matches)} times, expected once")
    ((start, end, names),) = matches
    for hole, value in names.items():
        wrong = wrong.replace("$" + hole.removeprefix(HOLE), value)
    result = text[: offset(text, start)] + wrong + text[offset(text, end) :]
    try:
        ast.parse(result)
    except SyntaxError as error:
        raise DoesNotApply(f"{place}: with {wrong!r} it is no Python: {error}") from error
    return file, result


def file_of(package: Path, module: str) -> Path:
    """The one file of a package whose dotted name ends so.

    Raises:
        DoesNotApply: there is none, or more than one.
    """
    parts = tuple(module.split("."))
    files = [
        path
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).with_suffix("").parts[-len(parts) :] == parts
    ]
    if len(files) != 1:
        names = ", ".join(str(path.relative_to(package)) for path in files) or "none"
        raise DoesNotApply(f"{module}: expected one module of this name, found {names}")
    return files[0]


def lines_of(tree: ast.Module, name: str, place: str) -> tuple[int, int]:
    """First and last line of what a dotted name defines in a module.

    Raises:
        DoesNotApply: nothing of this name, or several things.
    """
    nodes: list[ast.AST] = [tree]
    for part in name.split("."):
        inner = [child for node in nodes for child in getattr(node, "body", [])]
        nodes = [node for node in inner if part in defined(node)]
    if len(nodes) != 1:
        raise DoesNotApply(f"{place}: the module defines this {len(nodes)} times, expected once")
    return nodes[0].lineno, nodes[0].end_lineno


def defined(node: ast.AST) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def holes(text: str) -> str:
    """A pattern with its `$x` as identifiers, which Python's tokenizer takes."""
    return re.sub(r"\$(\w+)", HOLE + r"\1", text)


def tokens_of(text: str) -> list[Token]:
    """What a text says, without layout, comments and commas before a closing bracket."""
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline)
              if t.type not in LAYOUT]  # fmt: skip
    following = [token.string for token in tokens[1:]] + [""]
    pairs = zip(tokens, following, strict=True)
    return [t for t, after in pairs if not (t.string == "," and after and after in ")]}")]


def occurrences(
    tokens: Sequence[Token], pattern: Sequence[Token]
) -> Iterator[tuple[tuple[int, int], tuple[int, int], dict[str, str]]]:
    """Start, end and the names in the holes, wherever the tokens are the pattern's."""
    for begin in range(len(tokens) - len(pattern) + 1):
        part = tokens[begin : begin + len(pattern)]
        names: dict[str, str] = {}
        if all(alike(token, asked, names) for token, asked in zip(part, pattern, strict=True)):
            yield part[0].start, part[-1].end, names


def alike(token: Token, asked: Token, names: dict[str, str]) -> bool:
    """Whether a token is the pattern's; a hole takes any name, and the same one each time."""
    if asked.string.startswith(HOLE):
        return token.type == tokenize.NAME and token.string == names.setdefault(
            asked.string, token.string
        )
    return token.string == asked.string


def offset(text: str, position: tuple[int, int]) -> int:
    """Characters before a tokenizer's (line, column)."""
    line, column = position
    return sum(len(one) for one in text.splitlines(keepends=True)[: line - 1]) + column
