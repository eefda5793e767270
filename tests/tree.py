"""The source tree as the house tests read it: files, calls, strings and statements, none run."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from nightferry import sql

ROOT = Path(__file__).resolve().parents[1]
T = TypeVar("T", bound=ast.AST)
FOLDERS = ("bin", "daemons", "docs", "etc", "lib", "sql", "tests", "units", ".ci")


@dataclass(frozen=True)
class Source:
    """A Python file and its syntax tree."""

    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        """The path from the root of the tree, as text."""
        return str(self.path.relative_to(ROOT))

    def nodes(self, *kinds: type[T]) -> Iterator[T]:
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    def functions(self) -> Iterator[tuple[str, ast.AST]]:
        """Every function by its name, those of classes as Class.name; all else as ''."""
        for node in self.tree.body:
            yield from _functions(node, "")

    def texts(self) -> Iterator[ast.Constant]:
        """String constants that are not docstrings or parts of f-strings."""
        beside = {id(part) for joined in self.nodes(ast.JoinedStr) for part in ast.walk(joined)}
        beside |= {id(node.value) for node in self.nodes(ast.Expr)}
        for node in self.nodes(ast.Constant):
            if isinstance(node.value, str) and id(node) not in beside:
                yield node


def _functions(node: ast.AST, within: str) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            yield from _functions(inner, f"{node.name}.")
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield within + node.name, node
    else:
        yield "", node


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """The Python files below these folders."""
    found = sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))
    return tuple(Source(path, ast.parse(path.read_text(encoding="utf-8"))) for path in found)


def product() -> tuple[Source, ...]:
    return sources("lib", "daemons")


def files() -> Iterator[tuple[str, str]]:
    """Every text file of the tree that a person wrote: its path from the root, and its text."""
    for path in sorted([*ROOT.iterdir(), *(p for f in FOLDERS for p in (ROOT / f).rglob("*"))]):
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".git":
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def called(call: ast.Call) -> str:
    """What a call names: ``unlink`` of ``unlink()``, ``os.unlink()`` and ``path.unlink()``."""
    function = call.func
    return getattr(function, "attr", getattr(function, "id", ""))


def of(call: ast.Call) -> str:
    """What stands before the dot of a call, if it is a plain name."""
    return getattr(getattr(call.func, "value", None), "id", "")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def statements() -> frozenset[str]:
    """Every named statement, as ``file.name``."""
    return frozenset(
        f"{path.stem}.{name}"
        for path in sql.folder().glob("*.sql")
        for name in sql.statements(path.stem)
    )


def pattern(text: ast.Constant | ast.JoinedStr) -> re.Pattern[str] | None:
    """What a string may be the name of: a hole of an f-string is a word. None without a dot."""
    if isinstance(text, ast.Constant):
        parts = [re.escape(str(text.value))]
    else:
        parts = [
            re.escape(str(v.value)) if isinstance(v, ast.Constant) else r"\w+" for v in text.values
        ]
    whole = "".join(parts)
    return re.compile(whole) if re.fullmatch(r"(\w|\\w\+)+\\\.(\w|\\w\+)+", whole) else None
