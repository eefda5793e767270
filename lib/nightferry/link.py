"""How fast a route is: measured by sending through it, and leaving nothing behind.

A parcel whose sum is wrong crosses whole and is then refused: the far end keeps nothing of it. That
is a promise of every transport, and what a measurement wants.
"""

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nightferry.stores.base import Store
from nightferry.transports import NotTheParcel, Parcel, Transport

FOLDER = "nightferry-bench"
_WRONG = "0" * 64
_SMALL = 1000
_OVERHEAD = 0.05  # of the time of a package that is as small as is proposed
_BUNDLE = 600  # seconds that a bundle may take: what is urgent waits for a package, not for more


@dataclass(frozen=True)
class Measured:
    """``streams`` parcels at once of ``size`` bytes each took ``seconds``."""

    streams: int
    size: int
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.streams * self.size / self.seconds


@dataclass(frozen=True)
class Link:
    """What was measured, and what to make of it. ``setup`` is seconds that a parcel costs, however
    small; ``least`` and ``bundle`` are bytes."""

    setup: float
    measured: tuple[Measured, ...]

    @property
    def best(self) -> Measured:
        """The fewest streams that are nearly as fast as the fastest."""
        fastest = max(one.rate for one in self.measured)
        return next(one for one in self.measured if one.rate >= 0.9 * fastest)

    @property
    def least(self) -> int:
        """Smaller packages cost more in setting out than in crossing."""
        return round(self.setup * self.best.rate / self.best.streams / _OVERHEAD)

    @property
    def bundle(self) -> int:
        return max(round(self.best.rate * _BUNDLE), self.least)


def measure(
    transport: Transport,
    origin: Store,
    size: int,
    streams: tuple[int, ...] = (1, 2, 4, 8),
    tell: Callable[[int], None] = lambda _: None,
) -> Link:
    """Sends ``size`` bytes over ``transport`` for each number of streams.

    Raises:
        Unavailable, Retry, GiveUp: the route can't be crossed now.
    """
    transport.probe()
    small = min(_send(transport, origin, 1, _SMALL, tell).seconds for _ in range(3))
    return Link(small, tuple(_send(transport, origin, n, size // n, tell) for n in streams))


def _send(
    transport: Transport, origin: Store, streams: int, size: int, tell: Callable[[int], None]
) -> Measured:
    token = str(uuid.uuid4())
    with origin.write(f"{FOLDER}/{token}", token) as made:
        for _ in range(size // 2**20):
            made.write(os.urandom(2**20))
        made.write(os.urandom(size % 2**20))
        made.finish()
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(streams) as pool:
            for one in [pool.submit(_cross, transport, made.path, size) for _ in range(streams)]:
                one.result()
                tell(size)
        return Measured(streams, size, time.monotonic() - began)
    finally:
        origin.discard(made.path)


def _cross(transport: Transport, path: str, size: int) -> None:
    token = str(uuid.uuid4())
    try:
        transport.send(Parcel(token, path, f"{FOLDER}/{token}", size, _WRONG))
    except NotTheParcel:
        return
