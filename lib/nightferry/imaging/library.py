"""The library of master frames: found where they were made before, made where raw frames are.

A frame is corrected with masters of its own configuration, of the nearest night. What is missing is
said; it is never replaced by what does not fit.
"""

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from io import BufferedReader
from typing import Any, Protocol

from nightferry.imaging import masters
from nightferry.imaging.files import ImageFile, configuration
from nightferry.imaging.frame import Detector, detector
from nightferry.imaging.masters import BIAS, DARK, FEWEST, FLAT, Master, Raw
from nightferry.imaging.reduction import Masters
from nightferry.instruments import Hdu, Value
from nightferry.instruments.imaging import Imaging
from nightferry.instruments.keywords import Header
from nightferry.photometry.measured import NotCalibrated

_KEPT = 6  # masters that a process keeps at hand
_HOPELESS = 1000  # nights that it remembers as without


@dataclass(frozen=True)
class RawFrame:
    """A raw bias, dark or flat, as its headers tell it."""

    name: str
    sha256: str
    night: date
    seconds: float
    filter: str
    hdus: tuple[Hdu, ...]
    corrections: Mapping[str, Value | None]
    file: str | None = None  # its row in the ledger


@dataclass(frozen=True)
class Known:
    """A master that is there."""

    id: str
    night: date
    frames: int
    considered: int  # raw frames of its kind and night when it was made


@dataclass(frozen=True)
class Made:
    """A new master, on its way to where they are kept."""

    id: str
    kind: str
    configuration: Mapping[str, str]
    filter: str
    night: date
    frames: int
    considered: int
    members: tuple[RawFrame, ...]
    detail: Mapping[str, Any]
    content: bytes


class Records(Protocol):
    """Where raw frames and masters of one instrument at one place are."""

    def known(
        self, kind: str, configuration: Mapping[str, str], filter: str, first: date, last: date
    ) -> Sequence[Known]: ...

    def counts(self, kind: str, first: date, last: date) -> Mapping[date, int]:
        """How many raw frames of a kind each night has."""

    def frames(self, kind: str, night: date) -> Sequence[RawFrame]: ...

    def open(self, frame: RawFrame) -> BufferedReader:
        """Raises:
        OSError: it is not there.
        """

    def content(self, identity: str) -> bytes: ...

    def new_id(self) -> str: ...

    def keep(self, made: Made) -> None: ...


@dataclass(frozen=True)
class Wanted:
    """The frame that is to be corrected."""

    configuration: Mapping[str, str]
    filter: str
    night: date
    detector: Detector


_at_hand: OrderedDict[str, Master] = OrderedDict()
_hopeless: OrderedDict[tuple[object, ...], None] = OrderedDict()


@dataclass
class Library:
    """Masters for the frames of one instrument at one place. ``days`` is how far a night may be."""

    records: Records
    place: str  # of the records: what is remembered is of it
    imaging: Imaging
    days: int

    def masters_for(self, wanted: Wanted) -> Masters:
        notes: list[str] = []
        told: list[tuple[str, str]] = []
        found: dict[str, tuple[str, Master] | None] = {}
        for kind in (BIAS, DARK, FLAT):
            filter_ = wanted.filter if kind == FLAT else ""
            got = self._nearest(kind, filter_, wanted, found)
            found[kind] = None
            if got is None:
                if kind != DARK:
                    of = f" in {filter_}" if filter_ else ""
                    notes.append(f"no {kind}{of} within {self.days} days")
                continue
            known, master = got
            if master.pixels.shape != wanted.detector.data.shape:
                notes.append(f"the {kind} of {known.night} has another shape: not used")
                continue
            found[kind] = (known.id, master)
            told.append((kind, f"{known.id} ({known.frames} frames of {known.night})"))
            if known.night != wanted.night:
                notes.append(f"{kind} of {known.night}")
        bias, dark, flat = (found[k] and found[k][1] for k in (BIAS, DARK, FLAT))  # type: ignore[index]
        return Masters(bias, dark, flat, tuple(notes), tuple(told))

    def _nearest(
        self, kind: str, filter_: str, wanted: Wanted,
        found: Mapping[str, tuple[str, Master] | None],
    ) -> tuple[Known, Master] | None:  # fmt: skip
        reach = timedelta(days=self.days)
        first, last = wanted.night - reach, wanted.night + reach
        known = {
            k.night: k for k in self.records.known(kind, wanted.configuration, filter_, first, last)
        }
        counts = self.records.counts(kind, first, last)
        nights = {n for n, count in counts.items() if count >= FEWEST} | set(known)
        for night in sorted(nights, key=lambda n: (abs(n - wanted.night), n)):
            there, count = known.get(night), counts.get(night, 0)
            if there is not None and count <= there.considered:
                return there, self._fetched(there)
            made = self._made(kind, filter_, night, count, wanted, found)
            if made is not None:
                return made
            if there is not None:
                return there, self._fetched(there)
        return None

    def _fetched(self, known: Known) -> Master:
        if known.id not in _at_hand:
            self._remember(known.id, masters.from_fits(self.records.content(known.id)))
        _at_hand.move_to_end(known.id)
        return _at_hand[known.id]

    def _remember(self, identity: str, master: Master) -> None:
        _at_hand[identity] = master
        while len(_at_hand) > _KEPT:
            _at_hand.popitem(last=False)

    def _made(
        self, kind: str, filter_: str, night: date, count: int, wanted: Wanted,
        found: Mapping[str, tuple[str, Master] | None],
    ) -> tuple[Known, Master] | None:  # fmt: skip
        """A master of this night's raw frames; None if they give none."""
        key = (self.place, kind, filter_, night, count, *sorted(wanted.configuration.items()))
        if key in _hopeless:
            return None
        needs = {k: pair for k, pair in found.items() if pair is not None}
        with contextlib.ExitStack() as stack:
            raws, members, left_out = self._raws(stack, kind, filter_, night, wanted)
            try:
                master = masters.combine(
                    kind, raws,
                    *(needs[k][1] if k in needs and kind != BIAS else None for k in (BIAS, DARK)),
                )  # fmt: skip
            except NotCalibrated:
                _hopeless[key] = None
                while len(_hopeless) > _HOPELESS:
                    _hopeless.popitem(last=False)
                return None
        identity = self.records.new_id()
        used = tuple(m for m in members if m.name in master.frames)
        detail = {
            "left out": [*left_out, *master.left_out],
            "with": {k: pair[0] for k, pair in needs.items()},
        }
        about = {"MASTERID": identity, "NIGHT": night, "FILTER": filter_ or None}
        content = masters.to_fits(master, about)
        self.records.keep(
            Made(identity, kind, wanted.configuration, filter_, night, len(used), count, used,
                 detail, content)
        )  # fmt: skip
        self._remember(identity, master)
        return Known(identity, night, len(used), count), master

    def _raws(
        self, stack: contextlib.ExitStack, kind: str, filter_: str, night: date, wanted: Wanted
    ) -> tuple[list[Raw], list[RawFrame], list[str]]:
        """The raw frames that were read out alike, open; and why others are not among them."""
        raws, members, left_out = [], [], []
        for frame in self.records.frames(kind, night):
            if kind == FLAT and frame.filter != filter_:
                continue
            keywords = Header(frame.hdus, frame.corrections)
            try:
                opened = stack.enter_context(self.records.open(frame))
                if hashlib.file_digest(opened, "sha256").hexdigest() != frame.sha256:
                    left_out.append(f"{frame.name}: its bytes are not those that were registered")
                    continue
                opened.seek(0)
                file = stack.enter_context(ImageFile(opened, frame.name))
                alike = configuration(keywords, file.shape, self.imaging.configuration)
                if alike == wanted.configuration:
                    raws.append(
                        Raw(file, detector(file, keywords, self.imaging, 1.0), frame.seconds)
                    )
                    members.append(frame)
            except (OSError, NotCalibrated) as error:
                left_out.append(f"{frame.name}: {error}")
        return raws, members, left_out
