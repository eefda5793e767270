"""The rsync transport over a real sshd: its promises, and what the far end may do to it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry.durable import init_location
from nightferry.errors import ConfigError, GiveUp, NightferryError, Retry, Unavailable
from nightferry.stores import PosixStore
from nightferry.testing.store_contract import get
from nightferry.testing.transport_contract import Ends, TransportContract, a_parcel
from nightferry.transports import Elsewhere, open_transport
from nightferry.transports.ssh import Ended, Far

from tests.sshd import Sshd, make_key, sshd

DATA = os.urandom(2_000_000)


@pytest.fixture(scope="module")
def far_host() -> Iterator[Sshd]:
    with sshd() as server:
        yield server


@pytest.fixture
def ends(far_host: Sshd, tmp_path: Path) -> Iterator[Ends]:
    yield from ends_at(far_host, tmp_path, tmp_path / "archive")


def ends_at(far_host: Sshd, here: Path, there: Path, **settings: object) -> Iterator[Ends]:
    (here / "dome").mkdir(exist_ok=True)
    there.mkdir(exist_ok=True)
    init_location(here / "dome", "dome")
    marker = init_location(there, "archive").marker
    with PosixStore("dome", here / "dome") as source, PosixStore("archive", there) as destination:
        transport = open_transport(
            "rsync", "link", source, Elsewhere("archive", marker),
            far_host.settings(there, **settings),
        )  # fmt: skip
        yield Ends(transport, source, destination)


def changed(ends: Ends, far_host: Sshd, path: Path, **settings: object) -> Ends:
    """The same ends, by a route with other settings."""
    transport = open_transport(
        "rsync", "link", ends.source, Elsewhere("archive", None),
        far_host.settings(path, **settings),
    )  # fmt: skip
    return Ends(transport, ends.source, ends.destination)


class TestRsyncTransport(TransportContract):
    """By one command, as small packages are sent, and by rsync."""

    @pytest.fixture(params=["small", "large"])
    def ends(
        self,
        far_host: Sshd,
        tmp_path: Path,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[Ends]:
        if request.param == "large":
            monkeypatch.setattr("nightferry.transports.rsync.SMALL", 0)
        yield from ends_at(far_host, tmp_path, tmp_path / "archive")


def test_a_strange_name_crosses_as_it_is(ends: Ends) -> None:
    from dataclasses import replace

    parcel = replace(a_parcel(ends, DATA), destination_path="2024/with 'space' $x and %FF.tar")
    sent = ends.transport.send(parcel)
    assert get(ends.destination, sent.temporary) == DATA


@pytest.mark.parametrize("small", [0, 2**24])
def test_it_holds_to_its_bandwidth_and_tells_how_far_it_is(
    far_host: Sshd, tmp_path: Path, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightferry.transports.rsync.SMALL", small)
    limit = {"rate": "1 MB"}
    for slow in ends_at(far_host, tmp_path, tmp_path / "archive", bandwidth=limit):
        parcel = a_parcel(slow, DATA)
        told: list[int] = []
        slow.transport.send(parcel, told.append)
        assert told == sorted(told)
        assert len({amount for amount in told if 0 < amount < len(DATA)}) >= 1


@pytest.mark.parametrize("small", [0, 2**24])
def test_what_arrived_before_a_cut_does_not_cross_again(
    far_host: Sshd, tmp_path: Path, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightferry.transports.rsync.SMALL", small)
    for slow in ends_at(far_host, tmp_path, tmp_path / "archive", bandwidth={"rate": "2 MB"}):
        parcel = a_parcel(slow, DATA * 3)

        def cut(so_far: int) -> None:
            if so_far > len(DATA):
                raise InterruptedError

        with pytest.raises(InterruptedError):
            slow.transport.send(parcel, cut)
        sent = slow.transport.send(parcel)
        assert sent.resumed_from > len(DATA) // 2
        assert sent.bytes_sent == parcel.size - sent.resumed_from
        assert get(slow.destination, sent.temporary) == DATA * 3


def test_a_wrong_host_key_sends_nothing(ends: Ends, far_host: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{far_host.port} {(tmp_path / 'other.pub').read_text()}")
    wrong = changed(ends, far_host, tmp_path / "archive", known_hosts=str(known))
    with pytest.raises(Unavailable, match="far host's key is not the one in") as caught:
        wrong.transport.probe()
    assert caught.value.what == "link"
    known.write_text("")
    with pytest.raises(Unavailable, match="far host's key is not the one in"):
        wrong.transport.send(a_parcel(ends, DATA))
    assert list(ends.destination.temporaries()) == []


def test_a_key_that_is_not_let_in_is_said(ends: Ends, far_host: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "nobody")
    wrong = changed(ends, far_host, tmp_path / "archive", key=str(tmp_path / "nobody"))
    with pytest.raises(Unavailable, match="Give our key"):
        wrong.transport.probe()


def test_a_host_that_does_not_listen_is_away(ends: Ends, far_host: Sshd, tmp_path: Path) -> None:
    nowhere = changed(ends, far_host, tmp_path / "archive", port=1)
    with pytest.raises(Unavailable, match="does not answer"):
        nowhere.transport.probe()


def test_a_disk_that_is_not_mounted_at_the_far_end_takes_nothing(
    ends: Ends, tmp_path: Path
) -> None:
    (tmp_path / "archive" / ".nightferry-location").rename(tmp_path / "marker")
    with pytest.raises(Unavailable, match="has no marker of archive"):
        ends.transport.send(a_parcel(ends, DATA))
    assert sorted(path.name for path in (tmp_path / "archive").iterdir()) == []


def test_a_full_disk_at_the_far_end_is_tried_again(far_host: Sshd, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small file system")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], check=True)
    try:
        for ends in ends_at(far_host, tmp_path, small):
            parcel = a_parcel(ends, DATA * 2)
            with pytest.raises(Retry, match="make room there"):
                ends.transport.send(parcel)
            assert list(ends.destination.temporaries()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(
    ("code", "said", "kind", "words"),
    [
        (11, "rsync: write failed on x: No space left on device (28)", Retry, "is full"),
        (12, "rsync: [receiver] write failed: Disk quota exceeded (122)", Retry, "over its quota"),
        (23, "rsync: mkstemp failed: Permission denied (13)", Retry, "right to write"),
        (23, "rsync: open: Read-only file system (30)", Unavailable, "mounted for writing"),
        (127, "bash: rsync: command not found", GiveUp, "Install rsync"),
        (30, "rsync error: timeout in data send/receive", Unavailable, "does not answer"),
        (255, "ssh: connect to host x port 22: No route to host", Unavailable, "does not answer"),
    ],
)
def test_what_the_far_end_says_is_named_by_what_to_do_next(
    code: int, said: str, kind: type[NightferryError], words: str
) -> None:
    trouble = Far("link", "archive", "ferry@far", "/srv").trouble(Ended(code, "", said))
    assert type(trouble) is kind
    assert words in str(trouble)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "lacks 'account'"),
        ({"account": "-oProxyCommand=x", "path": "/a"}, "must be user@host"),
        ({"account": "far", "path": "a"}, "must be absolute"),
        ({"account": "far", "path": "/a", "streams": 0}, "streams"),
        ({"account": "far", "path": "/a", "bandwidth": {"zone": "Mars"}}, "IANA"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: dict[str, object], said: str) -> None:
    source = PosixStore("dome", tmp_path)
    with pytest.raises(ConfigError, match=said):
        open_transport("rsync", "link", source, Elsewhere("archive", None), settings)
