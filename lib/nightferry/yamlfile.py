"""YAML files into frozen dataclasses, with errors that name the file, the line and the nearest key.

A field's type says how its value is read: ``timedelta`` ("10 s", "6 h", "7 days", or seconds),
``Size`` ("50 GB", or bytes), ``Share`` ("85 %", or 0.85), ``Path`` ("~" is the home), enums,
dataclasses, tuples, mappings, and ``X | None``. A key that is no field is an error.
"""

import dataclasses
import difflib
import enum
import re
import types
import typing
from collections.abc import Collection, Mapping
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any, NewType, TypeVar

import yaml

from nightferry.errors import ConfigError

T = TypeVar("T")
Size = NewType("Size", int)
Share = NewType("Share", float)

_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "min": 60,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "day": 86400,
    "days": 86400,
}
_SECONDS |= {"second": 1, "seconds": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}
_SECONDS |= {
    "week": 604800,
    "weeks": 604800,
    "year": 31557600,
    "years": 31557600,
    "month": 2629800,
    "months": 2629800,
}
_BYTES = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_QUANTITY = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$")


def load(path: Path, kind: type[T]) -> T:
    """Reads ``path`` as a ``kind``.

    Raises:
        ConfigError: the file is missing, is no YAML, or holds a wrong key or value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    return parse(text, kind, str(path))


def parse(text: str, kind: type[T], source: str = "text") -> T:
    """As :func:`load`, for text that came from ``source``."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {error}") from error
    if node is None:
        node = yaml.MappingNode("tag:yaml.org,2002:map", [])
    return typing.cast(T, _Reader(source).read(node, kind, "the file"))


def nearest(name: str, known: Collection[str]) -> str:
    """``; did you mean …?`` for a message about a name that nobody knows; else those that are."""
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def place_of(path: Path | None, *keys: str) -> str:
    """Where a key stands, below the keys before it: ``FILE, line N``; the file alone if nowhere."""
    try:
        text = "" if path is None else path.read_text(encoding="utf-8")
    except OSError:
        text = ""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    found = ""
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        here = [(name, value) for name, value in pairs if name.value == key]
        if not here:
            break
        name, node = here[0]
        found = f", line {name.start_mark.line + 1}"
    return f"{path}{found}"


def read(node: yaml.Node, kind: type[T], source: str, name: str) -> T:
    """A part of a file that was composed elsewhere, as a ``kind``."""
    return typing.cast(T, _Reader(source).read(node, kind, name))


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, node: yaml.Node, message: str) -> ConfigError:
        line = f", line {node.start_mark.line + 1}" if node.start_mark else ""
        return ConfigError(f"{self.source}{line}: {message}")

    def read(self, node: yaml.Node, kind: Any, name: str) -> Any:
        if kind is Any or kind is object:
            return self._plain(node)
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if origin in (types.UnionType, typing.Union):
            if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
                return None
            return self.read(node, next(a for a in args if a is not type(None)), name)
        if dataclasses.is_dataclass(kind):
            return self._dataclass(node, typing.cast(type, kind), name)
        if origin in (dict, Mapping):
            pairs = self._mapping(node, name)
            return {
                key: self.read(value, args[1], f"{name}: {key}")
                for key, (_, value) in pairs.items()
            }
        if origin is tuple:
            if not isinstance(node, yaml.SequenceNode):
                raise self.fail(node, f"{name} is a list: [a, b]")
            return tuple(self.read(item, args[0], name) for item in node.value)
        return self._scalar(node, kind, name)

    def _mapping(self, node: yaml.Node, name: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"{name} is a mapping of keys to values")
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if str(key.value) in found:
                raise self.fail(key, f"{key.value!r} stands twice in {name}")
            found[str(key.value)] = (key, value)
        return found

    def _dataclass(self, node: yaml.Node, kind: type, name: str) -> Any:
        hints = typing.get_type_hints(kind)
        # A key that is a word of Python ("from") is a field with a line below it ("from_").
        fields = {f.name.rstrip("_"): f for f in dataclasses.fields(kind)}
        values: dict[str, Any] = {}
        for key, (key_node, value) in self._mapping(node, name).items():
            if key not in fields:
                hint = nearest(key, fields)
                raise self.fail(key_node, f"unknown key {key!r} in {name}{hint}")
            values[fields[key].name] = self.read(value, hints[fields[key].name], key)
        for field in fields.values():
            if (
                field.name not in values
                and field.default is dataclasses.MISSING
                and (field.default_factory is dataclasses.MISSING)
            ):
                raise self.fail(node, f"{name} lacks {field.name!r}")
        try:
            return kind(**values)
        except ValueError as error:  # a dataclass's own check
            raise self.fail(node, f"{name}: {error}") from error

    def _plain(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {
                key: self._plain(value) for key, (_, value) in self._mapping(node, "it").items()
            }
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item) for item in node.value]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return yaml.safe_load(node.value) if plain else node.value

    def _scalar(self, node: yaml.Node, kind: Any, name: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, f"{name} is a single value")
        text = str(node.value)
        try:
            if isinstance(kind, type) and issubclass(kind, enum.Enum):
                return kind(text)
            return _VALUES[kind](text)
        except (ValueError, KeyError):
            raise self.fail(node, f"{name}: {text!r} is no {_said(kind)}") from None


def duration(text: str) -> timedelta:
    """``"10 s"``, ``"6 h"``, ``"7 days"``, or a number of seconds.

    Raises:
        ValueError: it is none of these.
    """
    match = _QUANTITY.match(text)
    if not match or (match[2] and match[2] not in _SECONDS):
        raise ValueError(f"no duration: {text!r}")
    return timedelta(seconds=float(match[1]) * _SECONDS.get(match[2], 1))


def size(text: str) -> Size:
    """``"50 GB"``, ``"4 KiB"``, or a number of bytes.

    Raises:
        ValueError: it is none of these.
    """
    match = _QUANTITY.match(text)
    if not match or match[2] not in _BYTES:
        raise ValueError(f"no size: {text!r}")
    return Size(round(float(match[1]) * _BYTES[match[2]]))


def _truth(text: str) -> bool:
    return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}[
        text.lower()
    ]


def share(text: str) -> Share:
    """``"85 %"``, or a number from 0 to 1.

    Raises:
        ValueError: it is none of these.
    """
    number, percent, rest = text.partition("%")
    value = float(number) / 100 if percent else float(number)
    if rest.strip() or not 0 <= value <= 1:
        raise ValueError(f"no share: {text!r}")
    return Share(value)


_VALUES: dict[Any, Any] = {
    str: str,
    int: int,
    float: float,
    bool: _truth,
    timedelta: duration,
    Size: size,
    Share: share,
    Path: lambda text: Path(text).expanduser(),
    time: time.fromisoformat,
    date: date.fromisoformat,
}
_SAID = {
    timedelta: "duration such as '10 s' or '6 h'",
    Size: "size such as '50 GB'",
    Share: "share such as '85 %'",
    int: "whole number",
}
_SAID |= {
    float: "number",
    bool: "true or false",
    time: "time such as 12:00",
    date: "date such as 2024-05-12",
}


def _said(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    return _SAID.get(kind, getattr(kind, "__name__", str(kind)))


def shipped(folder: str) -> Path:
    """A folder of etc/ that comes with the program."""
    return _brought("etc") / folder


def shipped_units() -> Path:
    """The folder units/ that comes with the program."""
    return _brought("units")


def _brought(folder: str) -> Path:
    """Packaged, else the checkout's."""
    packaged = Path(__file__).parent / folder
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / folder
