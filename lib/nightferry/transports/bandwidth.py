"""How fast a route may be, by the hour: the link of a mountain is the observers' at night."""

import time as clocks
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nightferry.yamlfile import Size

Clock = Callable[[ZoneInfo], datetime]
wall_clock: Clock = datetime.now


@dataclass(frozen=True)
class Hours:
    """At most ``rate`` bytes a second from ``from`` to ``to``, local times, over midnight too."""

    from_: time
    to: time
    rate: Size

    def has(self, moment: time) -> bool:
        if self.from_ <= self.to:
            return self.from_ <= moment < self.to
        return moment >= self.from_ or moment < self.to


@dataclass(frozen=True)
class Bandwidth:
    """The first hours that hold count; at all others ``rate``, or as fast as it goes."""

    rate: Size = field(default=Size(0))
    zone: str = "UTC"
    hours: tuple[Hours, ...] = ()

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{self.zone!r} is no IANA time zone") from error

    def now(self, clock: Clock | None = None) -> int:
        """Bytes a second; 0 = as fast as it goes."""
        moment = (clock or wall_clock)(ZoneInfo(self.zone)).time()
        for hours in self.hours:
            if hours.has(moment):
                return hours.rate
        return self.rate

    def until_change(self, clock: Clock | None = None) -> timedelta | None:
        """How long the rate of now may hold; None = for ever."""
        if not self.hours:
            return None
        now = (clock or wall_clock)(ZoneInfo(self.zone))
        edges = [edge for hours in self.hours for edge in (hours.from_, hours.to)]
        return min(_until(now, edge) for edge in edges)


def _until(now: datetime, edge: time) -> timedelta:
    """Wall clock: a night that changes to summer time is an hour off, and looked at again."""
    there = datetime.combine(now.date(), edge, now.tzinfo)
    return there - now if there > now else there + timedelta(days=1) - now


class Meter:
    """Spreads what is sent over time, by a table that may change its mind while it is sent: what is
    still owed is paid at the new rate."""

    def __init__(self, bandwidth: Bandwidth, streams: int = 1) -> None:
        self._bandwidth = bandwidth
        self._streams = streams
        self._owed = 0.0  # bytes that are on their way too early
        self._rate = bandwidth.now() / streams
        self._paid_until = clocks.monotonic()

    def sent(self, amount: int, meanwhile: Callable[[], None]) -> None:
        """So many bytes more are on their way; returns when it is time for more."""
        self._owed += amount
        while (wait := self._pay()) > 0:
            clocks.sleep(min(wait, 1.0))
            meanwhile()

    def _pay(self) -> float:
        """Seconds until nothing is owed any more, at the rate of now."""
        now = clocks.monotonic()
        self._owed = max(0.0, self._owed - self._rate * (now - self._paid_until))
        self._paid_until = now
        self._rate = self._bandwidth.now() / self._streams
        return self._owed / self._rate if self._rate else self._forgive()

    def _forgive(self) -> float:
        """As fast as it goes."""
        self._owed = 0.0
        return 0.0
