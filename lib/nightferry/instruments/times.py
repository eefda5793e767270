"""When an exposure began: the keywords that say it, in the order in which they are believed.

DATE-BEG, DATE-OBS (with its time of day, or with one in UT, TIME-OBS or the like), MJD-BEG,
MJD-OBS. The time scale is TIMESYS, UTC where that is absent. A file-level DATE is when the file was
written, so it is never asked.
"""

import re
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from nightferry.instruments.base import Keywords

ORDER = ("DATE-BEG", "DATE-OBS", "MJD-BEG", "MJD-OBS")
TIMES_OF_DAY = ("UT", "UTC", "TIME-OBS", "UTSTART", "UTC-OBS", "UT-OBS", "UTOBS", "TIME-BEG")
FIRST_YEAR, LAST_YEAR = 1860, 2200  # a camera that does not know writes MJD 0, which is 1858

_SCALES = {
    **dict.fromkeys(("UTC", "UT", "UT1", "Z", "GMT"), "utc"),  # UT1 is within 0.9 s of UTC
    **dict.fromkeys(("TT", "TDT", "ET"), "tt"),
    **{"TAI": "tai", "GPS": "gps", "TDB": "tdb", "TCG": "tcg", "TCB": "tcb"},
}
_GPS_BEHIND_TAI = timedelta(seconds=19)
_DAY = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})|(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})")
_CLOCK = re.compile(r"(\d{1,2})[:\s](\d{1,2})(?:[:\s](\d{1,2})(\.\d*)?)?\s*(?:Z|UTC?|\+00:?00)?")
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


def start(
    keywords: Keywords, order: Sequence[str] = ORDER
) -> tuple[datetime | None, str | None, list[str]]:
    """The start in UTC, the keyword that says it, and defects: what was there but no time."""
    defects: list[str] = []
    scale_name = str(keywords.get("TIMESYS") or "UTC").upper()
    scale = _SCALES.get(scale_name)
    if scale is None:
        defects.append(f"TIMESYS {scale_name!r} is no time scale known here: times are not used.")
        return None, None, defects
    for keyword in order:
        value = keywords.get(keyword)
        if value is None:
            continue
        try:
            if isinstance(value, str):
                moment, source = _from_text(value, keyword, keywords)
            else:
                moment, source = _from_number(float(value), keyword), keyword
            return _to_utc(_sane(moment), scale), source, defects
        except (ValueError, OverflowError) as problem:
            defects.append(f"{keyword} = {value!r} is not used as the exposure's start: {problem}.")
    return None, None, defects


def _from_text(text: str, keyword: str, keywords: Keywords) -> tuple[datetime, str]:
    day = _DAY.match(text)
    if day is None:
        return _from_number(float(text), keyword), keyword  # a number between quotes
    rest = text[day.end() :].lstrip("T ").strip()
    source = keyword
    if not rest:
        rest, source = _time_of_day(keyword, keywords)
    clock = _CLOCK.fullmatch(rest)
    if clock is None:
        raise ValueError(f"{rest!r} is no time of day")
    year, month, date = (int(day[1]), int(day[2]), int(day[3])) if day[1] else _old(day)
    hours, minutes, seconds = (int(n or 0) for n in clock.groups()[:3])
    if hours > 24 or minutes > 59 or seconds > 60:
        raise ValueError(f"{rest!r} is no time of day")
    # Added, since 24:00:00 and a leap second's :60 are times too.
    micro = round(float("0" + (clock[4] or "")) * 1e6) if clock[4] and clock[4] != "." else 0
    of_day = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=micro)
    return datetime(year, month, date, tzinfo=UTC) + of_day, source


def _old(day: re.Match[str]) -> tuple[int, int, int]:
    """dd/mm/yy. By the standard the 20th century's; but before 1970 nobody wrote FITS."""
    year = int(day[6])
    if year < 100:
        year += 1900 if year >= 70 else 2000
    return year, int(day[5]), int(day[4])


def _time_of_day(keyword: str, keywords: Keywords) -> tuple[str, str]:
    for name in TIMES_OF_DAY:
        value = keywords.get(name)
        if isinstance(value, str):
            # Some write the date again before the time.
            return value.rpartition("T")[2].strip(), f"{keyword} {name}"
    raise ValueError(f"it has no time of day, nor has {', '.join(TIMES_OF_DAY[:4])} or the like")


def _from_number(value: float, keyword: str) -> datetime:
    if not keyword.startswith(("MJD", "JD")):
        raise ValueError("a number is no date")
    return _MJD_ZERO + timedelta(days=value - (2400000.5 if keyword.startswith("JD") else 0.0))


def _sane(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"the year {moment.year} can't be meant")
    return moment


def _to_utc(moment: datetime, scale: str) -> datetime:
    if scale == "utc":
        return moment
    if scale == "gps":
        moment, scale = moment + _GPS_BEHIND_TAI, "tai"
    # Imported where needed: few cameras keep another scale, and it takes 0.3 s.
    from astropy.time import Time
    from astropy.utils import iers

    with warnings.catch_warnings(), iers.conf.set_temp("auto_download", False):
        # A daemon never waits for a table from the Internet. One that has run out is still right
        # for every leap second that it has.
        warnings.simplefilter("ignore")
        utc: datetime = Time(moment.replace(tzinfo=None), scale=scale).utc.to_datetime(UTC)
    return utc
