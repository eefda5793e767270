"""Every transport keeps the promises of ``transports/base.py``."""

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from nightferry.durable import init_location
from nightferry.errors import ConfigError, Unavailable
from nightferry.stores import PosixStore
from nightferry.testing.store_contract import get
from nightferry.testing.transport_contract import Ends, TransportContract, a_parcel
from nightferry.transports import open_transport


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
