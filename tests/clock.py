"""A clock that a test sets: what it shows at the start, and it goes on as fast as ours."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def shows(start: str) -> Callable[[ZoneInfo], datetime]:
    """From this time of the day, in UTC."""
    began, moment = time.monotonic(), datetime.fromisoformat(f"2026-03-14T{start}+00:00")
    return lambda zone: (moment + timedelta(seconds=time.monotonic() - began)).astimezone(zone)
