"""Instruments are data: reads ``etc/instruments/*.yaml``, and finds the one that took a file.

A definition says how to recognise the instrument, which keyword means what, and by which *ordered*
rules a frame has its type. ``generic.yaml`` is for every file that no definition recognises. The
language is described at the top of that file.
"""

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import NoReturn

import yaml

from nightferry import yamlfile
from nightferry.errors import ConfigError
from nightferry.instruments.base import Arithmetic, FrameType
from nightferry.instruments.definition import FIELDS, Condition, Definition, Rule, Source, Test
from nightferry.instruments.imaging import Imaging
from nightferry.instruments.keywords import Header
from nightferry.instruments.photometry import Photometry
from nightferry.instruments.times import ORDER

GENERIC = "generic"
_TOP = (
    *("instrument", "telescope", "module", "matches", "keywords", "attributes", "start"),
    *("exposure_key", "equinox", "frame_types", "arithmetic", "photometry"),
    "imaging",
)
_SOURCE = ("from", "pass_over", "values", "unit")
_TESTS = ("below", "above", "present")
_SAFE = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Instruments:
    """All definitions of a site, in the order of their files' names; the generic one apart."""

    definitions: tuple[Definition, ...]
    generic: Definition

    @classmethod
    def load(cls, folder: Path | None = None) -> "Instruments":
        """Read every ``*.yaml`` of ``folder``; without one, those that are shipped.

        Where ``folder`` has no ``generic.yaml``, the shipped one serves.

        Raises:
            ConfigError: a file is wrong; file, line and the nearest known key are named.
        """
        folder = folder or shipped()
        if not folder.is_dir():
            raise ConfigError(f"{folder}: there is no such folder of instrument definitions")
        files = sorted(folder.glob("*.yaml"))
        if not any(f.stem == GENERIC for f in files):
            files.append(shipped() / f"{GENERIC}.yaml")
        read = {f.stem: _Reader(f).definition() for f in files}
        generic = read.pop(GENERIC)
        return cls(tuple(read.values()), generic)

    def recognise(self, header: Header, path: str) -> Definition:
        """The definition of the instrument that took this file; the generic one if none did."""
        return next((d for d in self.definitions if d.recognises(header, path)), self.generic)


def shipped() -> Path:
    """The folder of the definitions that come with Nightferry: packaged, or the checkout's."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "etc" / "instruments"
    return packaged if packaged.is_dir() else package.parents[1] / "etc" / "instruments"


def safe_name(text: str) -> str:
    """``text`` as an immutable name: small letters, digits and hyphens; "" if none is left."""
    return _SAFE.sub("-", text.lower()).strip("-")[:64].rstrip("-")


class _Reader:
    """Reads one definition from YAML nodes, which know their line."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def definition(self) -> Definition:
        try:
            root = yaml.compose(self.file.read_text("utf-8"), Loader=yaml.SafeLoader)
        except yaml.YAMLError as problem:
            raise ConfigError(f"{self.file}: {problem}") from problem
        except UnicodeDecodeError as problem:
            raise ConfigError(f"{self.file}: it is not UTF-8 text ({problem})") from problem
        if root is None:
            raise ConfigError(f"{self.file}: it is empty")
        top = self._mapping(root, _TOP)
        generic = self.file.stem == GENERIC
        for needed in ("keywords", "frame_types") if generic else ("instrument", "matches"):
            if needed not in top:
                self._wrong(root, f"the key {needed!r} is missing")
        name = self._text(top["instrument"]) if "instrument" in top else ""
        if "instrument" in top and safe_name(name) != name:
            self._wrong(top["instrument"], f"{name!r} is no name: write {safe_name(name)!r}")
        attributes = self._mapping(top["attributes"]) if "attributes" in top else {}
        keywords = self._mapping(top["keywords"], FIELDS) if "keywords" in top else {}
        return Definition(
            instrument=name,
            telescope=self._text(top["telescope"]) if "telescope" in top else None,
            module=self._module(top["module"]) if "module" in top else "main",
            matches=tuple(self._conditions(n) for n in self._list(top.get("matches"))),
            keywords={k: self._source(n) for k, n in keywords.items()},
            attributes={k: self._source(n) for k, n in attributes.items()},
            start=self._keywords(top["start"]) if "start" in top else ORDER,
            exposure_key=self._keywords(top["exposure_key"]) if "exposure_key" in top else (),
            equinox=self._equinox(top["equinox"]) if "equinox" in top else "header",
            frame_types=tuple(self._rule(n) for n in self._list(top.get("frame_types"))),
            arithmetic=self._arithmetic(top["arithmetic"]) if "arithmetic" in top else None,
            photometry=self._photometry(top.get("photometry")),
            imaging=self._imaging(top.get("imaging")),
        )

    def _photometry(self, node: yaml.Node | None) -> Photometry:
        if node is None:
            return Photometry()
        return yamlfile.read(node, Photometry, str(self.file), "photometry")

    def _imaging(self, node: yaml.Node | None) -> Imaging:
        if node is None:
            return Imaging()
        return yamlfile.read(node, Imaging, str(self.file), "imaging")

    def _wrong(self, node: yaml.Node, what: str) -> NoReturn:
        raise ConfigError(f"{self.file}, line {node.start_mark.line + 1}: {what}")

    def _mapping(self, node: yaml.Node, known: tuple[str, ...] = ()) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, "keys with values are expected here (key: value)")
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = self._text(key_node)
            if known and key not in known:
                near = get_close_matches(key, known, 1, 0.0)[0]
                self._wrong(key_node, f"unknown key {key!r}; the nearest known one is {near!r}")
            if key in found:
                self._wrong(key_node, f"the key {key!r} stands here twice")
            found[key] = value
        return found

    def _list(self, node: yaml.Node | None) -> list[yaml.Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._wrong(node, "a list is expected here (- item)")
        return list(node.value)

    def _text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._wrong(node, "one value is expected here")
        return str(node.value)

    def _texts(self, node: yaml.Node) -> tuple[str, ...]:
        if isinstance(node, yaml.SequenceNode):
            return tuple(self._text(n) for n in node.value)
        return (self._text(node),)

    def _keywords(self, node: yaml.Node) -> tuple[str, ...]:
        return tuple(keyword.upper() for keyword in self._texts(node))

    def _pattern(self, node: yaml.Node) -> re.Pattern[str]:
        try:
            return re.compile(self._text(node), re.IGNORECASE)
        except re.error as problem:
            self._wrong(node, f"{self._text(node)!r} is no regular expression: {problem}")

    def _number(self, node: yaml.Node) -> float:
        try:
            number = float(self._text(node))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self._wrong(node, f"a number is expected here, not {self._text(node)!r}")
        return number

    def _source(self, node: yaml.Node) -> Source:
        if not isinstance(node, yaml.MappingNode):
            return Source(self._keywords(node))
        parts = self._mapping(node, _SOURCE)
        if "from" not in parts:
            self._wrong(node, "the key 'from' is missing")
        unit = self._text(parts["unit"]) if "unit" in parts else None
        if unit not in (None, "hours", "degrees"):
            self._wrong(parts["unit"], f"the unit is 'hours' or 'degrees', not {unit!r}")
        values = self._mapping(parts["values"]) if "values" in parts else None
        return Source(
            self._keywords(parts["from"]),
            self._pattern(parts["pass_over"]) if "pass_over" in parts else None,
            None if values is None else {k.lower(): self._text(n) for k, n in values.items()},
            unit,
        )

    def _module(self, node: yaml.Node) -> str | Source:
        return self._text(node) if isinstance(node, yaml.ScalarNode) else self._source(node)

    def _equinox(self, node: yaml.Node) -> float | str:
        text = self._text(node)
        return text if text in ("header", "date") else self._number(node)

    def _conditions(self, node: yaml.Node) -> tuple[Condition, ...]:
        return tuple(self._condition(k, n) for k, n in self._mapping(node).items())

    def _condition(self, keyword: str, node: yaml.Node) -> Condition:
        known = (*FIELDS, "path")
        if keyword.islower() and keyword not in known:
            near = get_close_matches(keyword, known, 1, 0.0)[0]
            self._wrong(node, f"unknown name {keyword!r}; the nearest known one is {near!r}")
        if not isinstance(node, yaml.MappingNode):
            return Condition(keyword, self._test(node))
        tests = self._mapping(node, _TESTS)
        if "present" in tests:
            wanted = self._text(tests["present"])
            if wanted not in ("true", "false") or len(tests) > 1:
                self._wrong(node, "'present' is true or false, and stands alone")
            return Condition(keyword, bool, wanted == "true")
        low = self._number(tests["above"]) if "above" in tests else -math.inf
        high = self._number(tests["below"]) if "below" in tests else math.inf
        return Condition(keyword, lambda v: isinstance(v, int | float) and low < v < high)

    def _test(self, node: yaml.Node) -> Test:
        if isinstance(node, yaml.SequenceNode):
            tests = [self._test(n) for n in node.value]
            return lambda v: any(test(v) for test in tests)
        if node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
            number = self._number(node)
            return lambda v: isinstance(v, int | float) and v == number
        pattern = self._pattern(node)
        return lambda v: v is not None and pattern.search(str(v)) is not None

    def _rule(self, node: yaml.Node) -> Rule:
        [(name, conditions), *others] = self._mapping(node, tuple(FrameType)).items()
        if others:
            self._wrong(node, "a rule has one frame type; begin the next with '- '")
        return Rule(FrameType(name), self._conditions(conditions))

    def _arithmetic(self, node: yaml.Node) -> Arithmetic:
        name = self._text(node)
        found = {e.name: e for e in entry_points(group="nightferry.instruments")}
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            self._wrong(
                node,
                f"no installed package offers {name!r} under nightferry.instruments "
                f"(installed: {known})",
            )
        arithmetic: Arithmetic = found[name].load()
        return arithmetic
