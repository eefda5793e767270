"""What crosses the border of this seam: bytes come in, these values go out.

Reading knows no instrument (``reader.py``); meaning knows no file (``exposure.py``). An instrument
is data (``etc/instruments/*.yaml``). Where data is not enough, because a value must be computed, a
package offers an :class:`Arithmetic` under the entry point group ``nightferry.instruments``, and
the definition names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

HeaderState = Literal["whole", "none", "broken"]
Value = str | int | float | bool


class FrameType(StrEnum):
    """What a frame was taken for."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    ARC = "arc"
    FOCUS = "focus"
    STANDARD = "standard"
    SCIENCE = "science"
    GUIDE = "guide"
    ENGINEERING = "engineering"
    PRODUCT = "product"  # made from frames, and handed in by nf return
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a header is followed. Beyond, a file is archived all the same, marked ``broken``."""

    cards: int = 20_000  # of one HDU; the longest real ones have some 5,000
    hdus: int = 2_000
    header_bytes: int = 32 << 20  # of all HDUs: what one file may take of memory
    decompressed_bytes: int = 512 << 20  # a 16k x 16k frame of 16 bits; a bomb costs a second
    seconds: float = 20.0  # spent on headers and decompression, hashing not counted


@dataclass(frozen=True, slots=True)
class Hdu:
    """One header: its card images without END.

    Blanks at the end of a card are cut. A byte that is not printable ASCII is written ``\\xNN``; a
    backslash before an ``x`` is written ``\\x5c``, so that the bytes always come back.
    """

    index: int
    cards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one pass over a file tells.

    ``sha256`` and ``size`` (bytes) are of the file as it came, compressed or not. ``defects`` are
    sentences for a person. ``complete`` is None where it can't be told.
    """

    sha256: str
    size: int
    header: HeaderState
    defects: tuple[str, ...]
    hdus: tuple[Hdu, ...]
    complete: bool | None


@dataclass(frozen=True, slots=True)
class Completeness:
    """Is a file as long as it says itself? None = its format does not tell, or a limit was met."""

    complete: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the headers of one file say of the exposure. Text is printable ASCII, as in the cards.

    ``start`` is UTC and aware, ``start_source`` the keyword that it came from. ``seconds`` is the
    exposure time, ``ra`` and ``dec`` are ICRS degrees. ``exposure_key`` is equal for all files of
    one exposure (``.fits`` and ``.fits.fz``), and None where the start is not known. ``defects``
    are sentences for a person: what was there but could not be believed.
    """

    instrument: str
    telescope: str | None
    module: str
    frame_type: FrameType
    object: str | None
    program: str | None
    start: datetime | None
    start_source: str | None
    seconds: float | None
    filter: str | None
    ra: float | None
    dec: float | None
    airmass: float | None
    counter: int | None
    exposure_key: str | None
    observer: str | None
    attributes: dict[str, Value]
    defects: tuple[str, ...]


class Keywords(Protocol):
    """Read access to the keywords of one file."""

    def get(self, keyword: str) -> Value | None:
        """The first value of ``keyword`` that is not blank, or None."""


class Arithmetic(Protocol):
    """Mends what data can't say: returns ``exposure`` with fields replaced.

    Called last, without side effects. An exception is shown as a defect of the file; the exposure
    then stays as it was derived.
    """

    def __call__(self, exposure: Exposure, keywords: Keywords, path: str) -> Exposure: ...


NO_CORRECTIONS: Mapping[str, Value | None] = {}
