"""What the keywords of one file say, over all its HDUs, with the corrections that people made.

The primary header comes first; what it does not say, the extensions are asked for, in order. A
tile-compressed image (``.fz``) is seen as the image that it was.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from nightferry.instruments.base import NO_CORRECTIONS, Hdu, Value

# Cards of the plain kind, some nine of ten; astropy reads the others, ten times slower.
_PLAIN = re.compile(
    r".{8}= *(?:'((?:[^']|'')*)'|([-+]?\d+)|([-+]?\d*\.?\d*(?:[EeDd][-+]?\d+)?)|([TF])) *(?:/|$)"
)
_CONTINUATIONS = 64  # of one value; what follows is not read
_OF_THE_TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|EXTNAME|(TTYPE|TFORM|ZTILE|ZNAME|ZVAL)\d+"
    r"|ZIMAGE|ZCMPTYPE|ZMASKCMP|ZQUANTIZ|ZDITHER0|THEAP|CHECKSUM|DATASUM"
)
_ORIGINAL = re.compile(
    r"ZSIMPLE|ZTENSION|ZBITPIX|ZNAXIS\d*|ZEXTEND|ZPCOUNT|ZGCOUNT|ZHECKSUM|ZDATASUM|ZBLOCKED"
)
_RENAMED = {"ZTENSION": "XTENSION", "ZHECKSUM": "CHECKSUM"}


class Header:
    """Read access to the keywords of a file. Keywords are in capitals, HIERARCH left out."""

    def __init__(
        self, hdus: Sequence[Hdu], corrections: Mapping[str, Value | None] = NO_CORRECTIONS
    ) -> None:
        self.unreadable: list[str] = []
        self._corrections = {k.upper(): v for k, v in corrections.items()}
        self._values: dict[str, Value | None] = dict(self._corrections)
        self._hdus = [(hdu, _places(hdu)) for hdu in hdus]
        # fpack moves a primary image into the first extension, and says so by ZSIMPLE.
        self._hdus.sort(key=lambda pair: "ZSIMPLE" not in pair[1])

    def get(self, keyword: str) -> Value | None:
        """The first value of ``keyword`` that is not blank, or None.

        A card that can't be read, and a number that is not finite, is put on ``unreadable``.
        """
        if keyword not in self._values:
            self._values[keyword] = self._first(keyword)
        return self._values[keyword]

    def has(self, keyword: str) -> bool:
        """Is there such a card, be it blank?"""
        if keyword in self._corrections:
            return self._corrections[keyword] is not None
        return any(keyword in places for _, places in self._hdus)

    def like(self, pattern: str) -> Iterable[str]:
        """The keywords that match ``pattern`` with its ``*``, ``?`` and ``[abc]``."""
        known = set(self._corrections).union(*(places for _, places in self._hdus))
        return sorted(k for k in known if fnmatchcase(k, pattern))

    def _first(self, keyword: str) -> Value | None:
        for hdu, places in self._hdus:
            for at in places.get(keyword, ()):
                try:
                    value = _value(_with_continuations(hdu.cards, at))
                except ValueError:
                    self.unreadable.append(keyword)
                    continue
                if value is not None and value != "":
                    return value
        return None


def _places(hdu: Hdu) -> dict[str, list[int]]:
    """Which cards of ``hdu`` have each keyword."""
    places: dict[str, list[int]] = {}
    for at, card in enumerate(hdu.cards):
        if card[8:9] == "=":
            keyword = card[:8].rstrip().upper()
        elif card.startswith("HIERARCH ") and "=" in card:
            keyword = card[9 : card.index("=")].strip().upper()
        else:
            continue
        if keyword in places:
            places[keyword].append(at)
        else:
            places[keyword] = [at]
    return _as_image(places) if "ZIMAGE" in places else places


def _as_image(table: dict[str, list[int]]) -> dict[str, list[int]]:
    """The keywords of a compressed image as they were before (FITS standard 4.0, section 10.1)."""
    image: dict[str, list[int]] = {}
    for keyword, at in table.items():
        if _ORIGINAL.fullmatch(keyword):
            image[_RENAMED.get(keyword, keyword[1:])] = at
            if keyword == "ZSIMPLE":
                image[keyword] = at
        elif not _OF_THE_TABLE.fullmatch(keyword):
            image.setdefault(keyword, at)
    return image


def _with_continuations(cards: tuple[str, ...], at: int) -> str:
    image = cards[at]
    if "&" not in image:
        return image
    images = [image]
    for card in cards[at + 1 : at + 1 + _CONTINUATIONS]:
        if not card.startswith("CONTINUE"):
            break
        images.append(card)
    return "".join(f"{card:80}" for card in images) if len(images) > 1 else image


def _unusual(image: str) -> object:
    """What astropy makes of a card that is not of the plain kind.

    Imported only here: most files have no such card, and a worker starts in half the time.
    """
    from astropy.io.fits import Card
    from astropy.io.fits.verify import VerifyError

    try:
        return Card.fromstring(f"{image:80}").value
    except (VerifyError, ValueError) as problem:
        raise ValueError(f"not a card: {image!r}") from problem


def _value(image: str) -> Value | None:
    """The value of a card; strings without the blanks at their ends.

    Raises:
        ValueError: it can't be read, or is no finite number.
    """
    plain = _PLAIN.match(image) if len(image) <= 80 or "\\x" in image else None
    if plain is not None:
        text, whole, number, logical = plain.groups()
        if text is not None:
            return str(text).replace("''", "'").strip()
        if whole is not None:
            return int(whole)
        if logical is not None:
            return bool(logical == "T")
        if not number:
            return None
        value: object = float(number.upper().replace("D", "E"))
    else:
        value = _unusual(image)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"not a finite number: {image!r}")
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | int | float):
        return value
    return None  # undefined, or a complex number
