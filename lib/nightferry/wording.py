"""Numbers, sizes and times as a person reads them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal


def size(n: int | Decimal | None) -> str:
    """Bytes for a person, in powers of 1000: ``41.4 MB``."""
    if n is None:
        return "-"
    value, unit = float(n), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB", "EB"):
        if value < 999.95 or unit == "EB":
            break
        value /= 1000
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def share(part: float) -> str:
    """``0.85`` as ``85 %``."""
    return f"{100 * part:.0f} %"


def when(moment: datetime | None) -> str:
    """A moment in UTC: ``2024-05-13 07:13 UTC``."""
    return "-" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def age(since: datetime | timedelta | None) -> str:
    """How long ago, in the unit that tells enough: ``35 s``, ``4 min``, ``3 h``, ``12 d``."""
    if since is None:
        return "-"
    gone = since if isinstance(since, timedelta) else datetime.now(UTC) - since
    seconds = max(gone.total_seconds(), 0)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 72 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} d"


def pace(done: int | None, of: int | None, rate: float | None, eta: datetime | None) -> str:
    """How far it is: ``12.0 MB of 40.0 MB, 30 %, 2.1 MB/s, 13 s left``; '' if nobody said yet."""
    if not done or not of:
        return ""
    said = f"{size(done)} of {size(of)}, {100 * done // of} %"
    if rate:
        said += f", {size(round(rate))}/s"
    if eta is not None:
        said += f", {age(max(eta - datetime.now(UTC), timedelta()))} left"
    return said


def count(n: int, noun: str, plural: str | None = None) -> str:
    """``1 file``, ``19 files``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
