"""How bytes cross from one location to another: what every transport promises.

A transport makes a temporary file at the destination, and nothing else: it never publishes, and
its own success proves nothing. Verify reads the temporary at its place. The contract suite is
``nightferry.testing.transport_contract``.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from nightferry import yamlfile
from nightferry.errors import GiveUp
from nightferry.stores.base import Store
from nightferry.transports.bandwidth import Bandwidth

S = TypeVar("S")
MOST_STREAMS = 32


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What ``settings:`` of any route of observatory.yaml may say."""

    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    streams: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.streams <= MOST_STREAMS:
            raise ValueError(f"streams must be from 1 to {MOST_STREAMS}")


def read_settings(route: str, settings: Mapping[str, object], kind: type[S]) -> S:
    """A route's settings as a transport's class has them. Raises ConfigError."""
    return yamlfile.parse(json.dumps(dict(settings)), kind, f"route {route}: settings")


@dataclass(frozen=True)
class Parcel:
    """One file that is to cross: ``path`` at the sender, ``destination_path`` at the receiver.

    ``token`` is the uuid of the copy that it will be, ``size`` bytes, ``sha256`` 64 hexadecimal
    digits: both are the ledger's, and what the sender's disk holds must agree with them.
    """

    token: str
    path: str
    destination_path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Sent:
    """What came of it: the temporary's path at the destination, the bytes that crossed this time,
    and from which byte on (0: from the start)."""

    temporary: str
    bytes_sent: int
    resumed_from: int


@dataclass(frozen=True)
class Elsewhere:
    """A destination that this host has not mounted: its name and its marker's uuid."""

    location: str
    marker: str | None


class NotTheParcel(GiveUp):
    """The sender's copy is not what the ledger says. Any other GiveUp is about the far end."""

    def __init__(self, message: str) -> None:
        super().__init__("the sender's copy differs", message)

    @classmethod
    def at(cls, source: Store, parcel: Parcel, why: str) -> "NotTheParcel":
        return cls(
            f"{source.location}:{parcel.path}: {why}. The sender's copy is not what the ledger "
            "says, and nothing of it was kept at the destination. Verify that copy."
        )


def check_size(source: Store, parcel: Parcel) -> None:
    """Before anything is sent. Raises NotTheParcel, FileNotFoundError."""
    size = source.size(parcel.path)
    if size != parcel.size:
        raise NotTheParcel.at(source, parcel, f"it has {size} bytes, not {parcel.size}")


def ignore(_: int) -> None:
    """Nobody asked for progress."""


class Transport(Protocol):
    """``send`` may be called from several threads at once, each with a parcel of its own."""

    @property
    def route(self) -> str:
        """The route's name."""

    @property
    def streams(self) -> int:
        """How many parcels it carries at once."""

    def probe(self) -> None:
        """Return if both ends answer; else raise Unavailable with the route's name."""

    def send(self, parcel: Parcel, progress: Callable[[int], None] | None = None) -> Sent:
        """Bring the parcel's bytes, durably, under the temporary name of its token.

        Called again after any interruption it goes on where it was, or starts again where what
        is there is not the parcel's beginning. ``progress`` is called with the bytes at the
        destination so far, and may raise to stop; what has arrived is kept.

        Raises:
            NotTheParcel: the sender's copy is not what the ledger says. Nothing is left behind.
            GiveUp: the destination can't take it until somebody changes something there.
            FileNotFoundError, Unreadable: the sender's copy is gone, or can't be read.
            Unavailable: an end does not answer. NoRoom: none is left there. Retry: a failed disk.
        """
