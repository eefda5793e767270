"""How bytes cross from one location to another: what every transport promises.

A transport makes a temporary file at the destination, and nothing else: it never publishes, and
its own success proves nothing. Verify reads the temporary at its place. The contract suite is
``nightferry.testing.transport_contract``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nightferry.errors import GiveUp

MOST_STREAMS = 32


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
            Unavailable: an end does not answer. Retry: no room there, or a failed disk.
        """
