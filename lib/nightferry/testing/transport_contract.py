"""What every transport promises, as tests. A plug-in's author subclasses
:class:`TransportContract` and gives it a route whose two ends are empty stores.
"""

import hashlib
import os
from dataclasses import dataclass, replace

import pytest

from nightferry.errors import GiveUp
from nightferry.stores.base import Store
from nightferry.testing.store_contract import get, new_token, put
from nightferry.transports.base import Parcel, Transport


@dataclass(frozen=True)
class Ends:
    """A transport, the store it sends from, and the store it sends to, as the test sees them."""

    transport: Transport
    source: Store
    destination: Store


def a_parcel(ends: Ends, data: bytes) -> Parcel:
    """A published package at the sender, and the parcel that says what the ledger knows of it."""
    sha256 = put(ends.source, "2024/package.tar", data)
    return Parcel(new_token(), "2024/package.tar", "in/package.tar", len(data), sha256)


class TransportContract:
    """The promises of ``nightferry.transports.base.Transport``."""

    DATA = os.urandom(3_000_000) + b"the end"

    @pytest.fixture
    def ends(self) -> Ends:
        raise NotImplementedError("the subclass gives a transport and its two empty stores")

    def leave_a_partial(self, ends: Ends, parcel: Parcel, data: bytes) -> None:
        """What an earlier try of this token may have left at the destination."""
        with ends.destination.write(parcel.destination_path, parcel.token, resume=True) as partial:
            partial.write(data)

    def test_it_answers_a_probe(self, ends: Ends) -> None:
        ends.transport.probe()

    @pytest.mark.parametrize("size", [0, 1, len(DATA)])
    def test_the_bytes_arrive_under_a_temporary_name(self, ends: Ends, size: int) -> None:
        parcel = a_parcel(ends, self.DATA[:size])
        sent = ends.transport.send(parcel)
        assert (sent.bytes_sent, sent.resumed_from) == (size, 0)
        assert get(ends.destination, sent.temporary) == self.DATA[:size]
        assert list(ends.destination.walk()) == []
        assert [one.token for one in ends.destination.temporaries()] == [parcel.token]

    def test_what_was_sent_can_be_published(self, ends: Ends) -> None:
        parcel = a_parcel(ends, self.DATA)
        sent = ends.transport.send(parcel)
        done = ends.destination.publish(sent.temporary, parcel.destination_path, parcel.sha256)
        assert done == "published"
        assert get(ends.destination, parcel.destination_path) == self.DATA

    def test_it_resumes_where_an_earlier_try_ended(self, ends: Ends) -> None:
        parcel = a_parcel(ends, self.DATA)
        self.leave_a_partial(ends, parcel, self.DATA[:1_000_000])
        sent = ends.transport.send(parcel)
        assert sent.resumed_from == 1_000_000
        assert sent.bytes_sent == len(self.DATA) - 1_000_000
        assert get(ends.destination, sent.temporary) == self.DATA

    def test_sent_again_it_sends_nothing(self, ends: Ends) -> None:
        parcel = a_parcel(ends, self.DATA)
        first = ends.transport.send(parcel)
        second = ends.transport.send(parcel)
        assert second.temporary == first.temporary
        assert second.bytes_sent == 0
        assert get(ends.destination, second.temporary) == self.DATA

    @pytest.mark.parametrize(
        "partial", [b"not how it begins", DATA + b"too long"], ids=["other bytes", "too long"]
    )
    def test_a_partial_that_is_not_its_beginning_starts_again(
        self, ends: Ends, partial: bytes
    ) -> None:
        parcel = a_parcel(ends, self.DATA)
        self.leave_a_partial(ends, parcel, partial)
        sent = ends.transport.send(parcel)
        assert sent.bytes_sent == len(self.DATA)
        assert sent.resumed_from == 0
        assert get(ends.destination, sent.temporary) == self.DATA

    def test_progress_may_stop_it_and_what_arrived_is_kept(self, ends: Ends) -> None:
        parcel = a_parcel(ends, self.DATA)

        def stop(so_far: int) -> None:
            assert so_far <= len(self.DATA)
            if so_far:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            ends.transport.send(parcel, stop)
        (left,) = ends.destination.temporaries()
        assert left.token == parcel.token
        sent = ends.transport.send(parcel)
        assert sent.resumed_from > 0
        assert sent.bytes_sent == len(self.DATA) - sent.resumed_from
        assert get(ends.destination, sent.temporary) == self.DATA

    def test_a_wrong_copy_at_the_sender_is_named_and_nothing_is_left(self, ends: Ends) -> None:
        parcel = a_parcel(ends, self.DATA)
        rotten = replace(parcel, sha256=hashlib.sha256(b"what it was").hexdigest())
        with pytest.raises(GiveUp, match="sender"):
            ends.transport.send(rotten)
        cut = replace(parcel, size=parcel.size + 1)
        with pytest.raises(GiveUp, match="sender"):
            ends.transport.send(cut)
        assert list(ends.destination.temporaries()) == []

    def test_a_missing_copy_at_the_sender_is_said_to_be_missing(self, ends: Ends) -> None:
        parcel = a_parcel(ends, self.DATA)
        with pytest.raises(FileNotFoundError):
            ends.transport.send(replace(parcel, path="2024/none.tar"))

    def test_what_stands_at_the_destination_is_left_alone(self, ends: Ends) -> None:
        parcel = a_parcel(ends, self.DATA)
        put(ends.destination, parcel.destination_path, b"another package")
        ends.transport.send(parcel)
        assert get(ends.destination, parcel.destination_path) == b"another package"
