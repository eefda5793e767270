"""What a definition of an instrument holds: where values are found, and rules asked in order.

``definitions.py`` reads it from a file.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nightferry.instruments.base import Arithmetic, FrameType, Value
from nightferry.instruments.imaging import Imaging
from nightferry.instruments.keywords import Header
from nightferry.instruments.photometry import Photometry

FIELDS = (
    *("instrument", "object", "program", "observer", "type", "seconds", "filter"),
    *("ra", "dec", "airmass", "counter"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value is found: the first of ``keywords`` that has one.

    A value that matches ``pass_over`` is taken only if no other keyword has a better one.
    ``values`` translates (looked up in small letters). ``unit`` is of an angle.
    """

    keywords: tuple[str, ...]
    pass_over: re.Pattern[str] | None = None
    values: Mapping[str, str] | None = None
    unit: str | None = None

    def find(self, header: Header) -> Value | None:
        """The value, or None."""
        second_best: Value | None = None
        for keyword in self.keywords:
            value = header.get(keyword)
            if value is None:
                continue
            if self.values is not None:
                value = self.values.get(str(value).lower(), value)
            if self.pass_over is None or not self.pass_over.search(str(value)):
                return value
            second_best = value if second_best is None else second_best
        return second_best


Test = Callable[[Value | None], bool]
Lookup = Callable[[str], Value | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """``keyword`` (capitals), mapped name or ``path`` (small letters) passes ``test``."""

    keyword: str
    test: Test
    wants_presence: bool | None = None

    def holds(self, header: Header, mapped: Lookup) -> bool:
        """Does it, for this file?"""
        if self.wants_presence is not None:
            return header.has(self.keyword) is self.wants_presence
        if self.keyword.islower():
            return self.test(mapped(self.keyword))
        if any(c in self.keyword for c in "*?["):
            return any(self.test(header.get(k)) for k in header.like(self.keyword))
        return self.test(header.get(self.keyword))


@dataclass(frozen=True, slots=True)
class Rule:
    """A frame has this type if all conditions hold."""

    frame_type: FrameType
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """One instrument, as its file says."""

    instrument: str
    telescope: str | None
    module: str | Source
    matches: tuple[tuple[Condition, ...], ...]
    keywords: Mapping[str, Source]
    attributes: Mapping[str, Source]
    start: tuple[str, ...]
    exposure_key: tuple[str, ...]
    equinox: float | str
    frame_types: tuple[Rule, ...]
    arithmetic: Arithmetic | None
    photometry: Photometry = field(default_factory=Photometry)
    imaging: Imaging = field(default_factory=Imaging)

    def recognises(self, header: Header, path: str) -> bool:
        """Did this instrument take the file?"""

        def mapped(name: str) -> Value | None:
            return path if name == "path" else None

        return any(all(c.holds(header, mapped) for c in group) for group in self.matches)
