"""Named statements: every hot one stands in a file of sql/, under a line ``-- name: it``.

Parameters are psycopg's own, ``%(name)s``. A statement is never put together from strings.
"""

import re
from functools import cache
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def folder() -> Path:
    """The sql/ folder: the packaged one if it is there, else the checkout's."""
    packaged = Path(__file__).with_name("sql")
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "sql"


@cache
def statements(file: str) -> dict[str, str]:
    """The statements of ``sql/<file>.sql`` by name, in the file's order.

    Raises:
        ValueError: two statements of the file have the same name.
    """
    text = (folder() / f"{file}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    found: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in found:
            raise ValueError(f"sql/{file}.sql has two statements named {name}")
        found[name] = body.strip().rstrip(";")
    return found


@cache
def statement(name: str) -> str:
    """The statement ``file.name``, such as ``jobs.claim``.

    Raises:
        KeyError: there is no such statement.
    """
    file, _, own = name.partition(".")
    try:
        return statements(file)[own]
    except (KeyError, FileNotFoundError):
        raise KeyError(f"no statement {own!r} in sql/{file}.sql") from None
