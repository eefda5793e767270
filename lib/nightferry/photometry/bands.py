"""Bands by the names that headers and observers give them.

A band of Nightferry is one word: U B V R I are Johnson-Cousins, g r i z those of SDSS, gP1 rP1 iP1
zP1 those of Pan-STARRS1.
"""

import re

JOHNSON_COUSINS = ("U", "B", "V", "R", "I")
SDSS = ("g", "r", "i", "z")
PAN_STARRS = ("gP1", "rP1", "iP1", "zP1")
AUTO = "auto"

_JOHNSON = re.compile(
    r"(?:(?:johnson|cousins|bessell?|harris|jc)[ _-]*)?([UBVRI])[cjk]?"
    r"(?:[ _-]*(?:johnson|cousins|bessell?|harris|jc))?",
    re.IGNORECASE,
)
_SLOAN = re.compile(
    r"(?:(?:sdss|sloan)[ _-]*)?([griz])[p'′]?(?:[ _-]*(?:sdss|sloan))?", re.IGNORECASE
)
_AAVSO = re.compile(r"S[GRIZ]")  # the codes of its database for Sloan's
_MARKED = re.compile(r"sdss|sloan|[p'′]$", re.IGNORECASE)
_PS1 = re.compile(
    r"(?:ps1?|panstarrs|pan-starrs)?[ _.-]*([griz])[ _.-]*(?:p1|ps1?)?", re.IGNORECASE
)
# What a list of filters says beside a name and its system: r DECam SDSS c0002 6415.0 1480.0
_OF_A_LIST = re.compile(r"[ _](?:decam|[a-z]?\d{3,}(?:\.\d+)?)(?![^ _])", re.IGNORECASE)
_SYSTEM = re.compile(r"sdss|sloan|johnson|cousins|bessel|harris", re.IGNORECASE)


def band_of(name: str) -> str | None:
    """The band that a filter's name means; None where that is not certain.

    ``R`` and ``Rc`` are Cousins', ``r`` and ``r'`` Sloan's: one letter counts as it is written.
    """
    text = name.strip()
    if _SYSTEM.search(text):
        text = _OF_A_LIST.sub("", text)
    if text.lower() == AUTO:
        return AUTO
    if _AAVSO.fullmatch(text):
        return text[1].lower()
    if re.search(r"p1|ps1|pan", text, re.IGNORECASE) and (found := _PS1.fullmatch(text)):
        return f"{found[1].lower()}P1"
    if (found := _SLOAN.fullmatch(text)) and (_MARKED.search(text) or text in SDSS):
        return found[1].lower()
    if found := _JOHNSON.fullmatch(text):
        letter = found[1]
        if letter.isupper() or len(text) > 2:
            return letter.upper()
    return None
