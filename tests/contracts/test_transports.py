"""Every transport keeps the promises of ``transports/base.py``."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from nightferry.durable import init_location
from nightferry.errors import ConfigError, Unavailable
from nightferry.stores import PosixStore
from nightferry.testing.store_contract import get, new_token, put
from nightferry.testing.transport_contract import Ends, TransportContract, a_parcel
from nightferry.transports import Parcel, Transport, open_transport
from nightferry.transports.bandwidth import Bandwidth
from nightferry.yamlfile import parse

from tests.clock import shows
from tests.pace import took


@pytest.fixture
def dome_to_archive(tmp_path: Path) -> Iterator[Ends]:
    for name in ("dome", "archive"):
        (tmp_path / name).mkdir()
        init_location(tmp_path / name, name)
    with (
        PosixStore("dome", tmp_path / "dome") as source,
        PosixStore("archive", tmp_path / "archive") as destination,
    ):
        transport = open_transport("local", "dome-archive", source, destination, {})
        yield Ends(transport, source, destination)


class TestLocalTransport(TransportContract):
    @pytest.fixture
    def ends(self, dome_to_archive: Ends) -> Ends:
        return dome_to_archive


@pytest.mark.parametrize("end", ["dome", "archive"])
def test_a_route_is_unavailable_when_an_end_is(
    dome_to_archive: Ends, tmp_path: Path, end: str
) -> None:
    shutil.rmtree(tmp_path / end)
    with pytest.raises(Unavailable, match=end) as caught:
        dome_to_archive.transport.probe()
    assert caught.value.what == "dome-archive"


def test_an_unknown_setting_of_a_route_is_refused(dome_to_archive: Ends) -> None:
    ends = dome_to_archive
    with pytest.raises(ConfigError, match="unknown key 'speed'"):
        open_transport("local", "route", ends.source, ends.destination, {"speed": 1})


def test_an_unknown_transport_names_those_known(dome_to_archive: Ends) -> None:
    ends = dome_to_archive
    with pytest.raises(ConfigError, match=r"'pigeon'.*known: .*local, rsync"):
        open_transport("pigeon", "route", ends.source, ends.destination, {})


def test_the_same_package_from_two_routes_at_once_is_one(dome_to_archive: Ends) -> None:
    """Who comes second begins anew: what two have written is never mixed."""
    ends = dome_to_archive
    parcel = a_parcel(ends, os.urandom(30_000_000))
    other = open_transport("local", "dome-archive-2", ends.source, ends.destination, {})
    begun, both = threading.Event(), threading.Event()

    def wait(so_far: int) -> None:
        begun.set()
        both.wait(10)

    def tell(so_far: int) -> None:
        both.set()

    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(ends.transport.send, parcel, wait)
        assert begun.wait(10)
        second = other.send(parcel, tell)
        assert first.result().temporary == second.temporary
    assert get(ends.destination, second.temporary) == get(ends.source, parcel.path)
    assert len(list(ends.destination.temporaries())) == 1


def a_parcel_of(ends: Ends, name: str, data: bytes) -> Parcel:
    return Parcel(new_token(), name, f"in/{name}", len(data), put(ends.source, name, data))


def limited(ends: Ends, **settings: object) -> Transport:
    return open_transport("local", "link", ends.source, ends.destination, settings)


def test_streams_share_the_rate_of_their_route(dome_to_archive: Ends) -> None:
    """Two parcels at once take as long as both after each other."""
    ends = dome_to_archive
    transport = limited(ends, bandwidth={"rate": "2 MB"}, streams=2)
    parcels = [a_parcel_of(ends, f"{name}.tar", os.urandom(3_000_000)) for name in "ab"]
    began = time.monotonic()
    with ThreadPoolExecutor(2) as streams:
        list(streams.map(transport.send, parcels))
    assert took(time.monotonic() - began, 3.0)


@pytest.mark.parametrize(("night", "seconds"), [("4 MB", 4.0), ("500 kB", 4.0)])
def test_the_rate_follows_a_table_that_changes_in_the_middle_of_a_file(
    dome_to_archive: Ends, monkeypatch: pytest.MonkeyPatch, night: str, seconds: float
) -> None:
    """Two seconds at 1 MB/s, and the rest at the night's."""
    monkeypatch.setattr("nightferry.transports.bandwidth.wall_clock", shows("18:59:58"))
    hours = [{"from": "19:00", "to": "07:00", "rate": night}]
    transport = limited(dome_to_archive, bandwidth={"rate": "1 MB", "hours": hours})
    amount = 2_000_000 + int((seconds - 2.0) * parse(f"rate: {night}", Bandwidth).rate)
    parcel = a_parcel(dome_to_archive, os.urandom(amount))
    began = time.monotonic()
    transport.send(parcel)
    assert took(time.monotonic() - began, seconds)
