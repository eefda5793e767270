"""The night: from one local noon to the next, named by a local date.

Nights have 23 or 25 hours when the clocks change; all sums here go through the zone.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Label = Literal["evening", "morning"]
_DAY = timedelta(days=1)


def night_of(
    start_utc: datetime, zone: str, turnover: str = "12:00", label: Label = "evening"
) -> date:
    """The night that the moment ``start_utc`` (aware) belongs to at a telescope in ``zone``.

    ``turnover`` is the local time at which a night ends and the next begins; ``label`` says whose
    date names it: the evening's or the morning's.

    Raises:
        ValueError: the moment has no time zone, or ``zone``, ``turnover`` or ``label`` is unknown.
    """
    if start_utc.tzinfo is None:
        raise ValueError(f"{start_utc} has no time zone: it can't be placed in a night")
    night = start_utc.astimezone(_zone(zone)).date()
    if start_utc < _turn(night, zone, turnover):
        night -= _DAY
    return night + _shift(label)


def night_span(
    night: date, zone: str, turnover: str = "12:00", label: Label = "evening"
) -> tuple[datetime, datetime]:
    """When ``night`` begins and ends, in UTC; the end belongs to the next night.

    Raises:
        ValueError: as :func:`night_of`.
    """
    evening = night - _shift(label)
    return _turn(evening, zone, turnover), _turn(evening + _DAY, zone, turnover)


@lru_cache(maxsize=4096)
def _turn(day: date, zone: str, turnover: str) -> datetime:
    try:
        at = time.fromisoformat(turnover)
    except ValueError:
        raise ValueError(f"turnover {turnover!r} is no local time such as 12:00") from None
    if at.tzinfo is not None:
        raise ValueError(f"turnover {turnover!r} is a local time: it has no zone of its own")
    return datetime.combine(day, at, _zone(zone)).astimezone(UTC)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone such as America/Los_Angeles (tzdata knows them all)"
        ) from None


def _shift(label: Label) -> timedelta:
    if label not in ("evening", "morning"):
        raise ValueError(f"a night is named by its evening or its morning, not by {label!r}")
    return _DAY if label == "morning" else timedelta(0)
