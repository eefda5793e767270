"""The rsync transport over a real sshd: its promises, and what the far end may do to it.

Over 300 lines: all that a far end can do to a package, beside each other.
"""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from nightferry.durable import init_location
from nightferry.errors import ConfigError, GiveUp, NightferryError, NoRoom, Retry, Unavailable
from nightferry.stores import PosixStore
from nightferry.temporary import temporary_path
from nightferry.testing.store_contract import get
from nightferry.testing.transport_contract import Ends, TransportContract, a_parcel
from nightferry.transports import Elsewhere, open_transport, rsync, ssh
from nightferry.transports.ssh import _OURS, Ended, Far, far_name

from tests.clock import shows
from tests.pace import took
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
    parcel = replace(a_parcel(ends, DATA), destination_path="2024/with 'space' $x and %FF.tar")
    sent = ends.transport.send(parcel)
    assert get(ends.destination, sent.temporary) == DATA


@pytest.mark.parametrize("small", [0, 2**24])
def test_it_holds_to_its_bandwidth_and_tells_how_far_it_is(
    far_host: Sshd, tmp_path: Path, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightferry.transports.rsync.SMALL", small)
    seconds = {}
    for rate in ("0", "1 MB"):  # the first says what asking and hashing take
        for slow in ends_at(far_host, tmp_path, tmp_path / "archive", bandwidth={"rate": rate}):
            parcel = a_parcel(slow, DATA * 2)
            told: list[int] = []
            began = time.monotonic()
            slow.transport.send(parcel, told.append)
            seconds[rate] = time.monotonic() - began
            assert told == sorted(told)
            assert len({amount for amount in told if 0 < amount < parcel.size}) >= 1
    meant = len(DATA) * 2 / 1e6
    assert took(seconds["1 MB"] - min(seconds["0"], 0.1 * meant), meant)


def test_its_rate_follows_a_table_that_changes_in_the_middle_of_a_file(
    far_host: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three seconds at 500 kB/s, then 2 MB/s: as the far disk sees it."""
    monkeypatch.setattr("nightferry.transports.rsync.SMALL", 0)
    hours = [{"from": "19:00", "to": "07:00", "rate": "4 MB"}]
    table = {"rate": "1 MB", "hours": hours}
    there = tmp_path / "archive"
    with contextmanager(ends_at)(far_host, tmp_path, there, bandwidth=table, streams=2) as ends:
        parcel = a_parcel(ends, DATA * 4)
        partial = there / temporary_path(parcel.destination_path, parcel.token)
        seen: list[tuple[float, int]] = []
        began = time.monotonic()
        monkeypatch.setattr("nightferry.transports.bandwidth.wall_clock", shows("18:59:57"))

        def look(_: int) -> None:
            if partial.exists() and (not seen or partial.stat().st_size > seen[-1][1]):
                seen.append((time.monotonic() - began, partial.stat().st_size))

        sent = ends.transport.send(parcel, look)
        assert get(ends.destination, sent.temporary) == DATA * 4
        day = [one for one in seen if one[0] < 3.0 and one[1] > 0]
        night = [one for one in seen if one[0] > 4.5]  # the change is looked at a second later
        assert took(1 / speed(day), 1 / 500_000)
        assert took(1 / speed(night), 1 / 2_000_000)


def speed(seen: list[tuple[float, int]]) -> float:
    """Bytes a second, from the first look to the last."""
    (first, before), (last, after) = seen[0], seen[-1]
    return (after - before) / (last - first)


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


def test_who_still_holds_it_open_at_the_far_end_after_a_cut_does_not_hold_what_arrives(
    ends: Ends,
) -> None:
    parcel = a_parcel(ends, DATA)
    path = ends.destination.path / temporary_path(parcel.destination_path, parcel.token)
    path.parent.mkdir(parents=True)
    half = len(DATA) // 2
    with path.open("wb") as left:
        left.write(DATA[:half])
        left.flush()
        sent = ends.transport.send(parcel)
        assert (sent.temporary, sent.resumed_from) == (
            str(path.relative_to(ends.destination.path)),
            half,
        )
        left.write(b"late")
        left.flush()
        assert path.stat().st_ino != os.fstat(left.fileno()).st_ino
    assert get(ends.destination, sent.temporary) == DATA


def test_the_same_package_from_two_routes_at_once_is_one(far_host: Sshd, tmp_path: Path) -> None:
    for ends in ends_at(far_host, tmp_path, tmp_path / "archive", bandwidth={"rate": "3 MB"}):
        other = changed(ends, far_host, tmp_path / "archive").transport
        parcel = a_parcel(ends, DATA * 3)
        begun = threading.Event()

        def tell(so_far: int, begun: threading.Event = begun) -> None:
            if so_far > len(DATA):
                begun.set()

        with ThreadPoolExecutor(1) as beside:
            first = beside.submit(ends.transport.send, parcel, tell)
            assert begun.wait(60)
            second = other.send(parcel)
            beaten = first.exception()  # or ended after it, with nothing to add
        assert beaten is None or "another route brings the same package" in str(beaten)
        assert get(ends.destination, second.temporary) == DATA * 3


def test_a_temporary_directory_that_is_deep_is_no_trouble(
    ends: Ends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's path has few bytes, and connections are shared over one."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    monkeypatch.setattr(ssh, "_folder", None)
    ends.transport._far.__dict__.pop("shell", None)  # type: ignore[attr-defined]
    parcel = a_parcel(ends, DATA)
    assert get(ends.destination, ends.transport.send(parcel).temporary) == DATA


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


def test_a_disk_with_less_room_than_is_needed_is_waited_for(far_host: Sshd, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small file system")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], check=True)
    try:
        for ends in ends_at(far_host, tmp_path, small):
            parcel = a_parcel(ends, DATA * 2)
            with pytest.raises(NoRoom, match="make room there"):
                ends.transport.send(parcel)
            assert list(ends.destination.temporaries()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_disk_that_others_fill_meanwhile_is_waited_for_and_gone_on_with(
    far_host: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small file system")
    monkeypatch.setattr("nightferry.transports.rsync.SMALL", 0)
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        for ends in ends_at(far_host, tmp_path, small, bandwidth={"rate": "3 MB"}):
            parcel = a_parcel(ends, DATA * 3)

            def others(so_far: int) -> None:
                if so_far > len(DATA) // 2 and not (small / "others").exists():
                    (small / "others").write_bytes(bytes(4_000_000))

            with pytest.raises(NoRoom, match=r"archive is full, or over its quota: make room"):
                ends.transport.send(parcel, others)
            (small / "others").unlink()
            sent = ends.transport.send(parcel)
            assert sent.resumed_from > 0
            assert get(ends.destination, sent.temporary) == DATA * 3
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(("program", "small"), [("rsync", 0), ("cat", rsync.SMALL)])
def test_a_quota_that_is_full_in_mid_transfer_is_waited_for(
    ends: Ends, far_host: Sshd, monkeypatch: pytest.MonkeyPatch, program: str, small: int
) -> None:
    """Who writes there is told so by its kernel, at its fourth write to the disk."""
    real, strace = shutil.which(program), shutil.which("strace")
    if strace is None:
        pytest.skip("no strace")
    monkeypatch.setattr(rsync, "SMALL", small)
    parcel = a_parcel(ends, DATA)
    file = ends.destination.path / temporary_path(parcel.destination_path, parcel.token)  # type: ignore[attr-defined]
    full = f"{strace} -f -qq -o /dev/null -P {file} -e inject=write:error=EDQUOT:when=4+"
    with (
        far_host.instead_of(program, f'exec {full} {real} "$@"'),
        pytest.raises(NoRoom, match=r"Disk quota exceeded.*over its quota: make room there"),
    ):
        ends.transport.send(parcel)
    sent = ends.transport.send(parcel)
    assert sent.resumed_from > 0
    assert get(ends.destination, sent.temporary) == DATA


@pytest.mark.parametrize("name", ["frame.fits", "2024/pkg.tar", ".x.part"])
def test_no_name_but_a_temporarys_of_ours_is_given_to_the_far_end(
    far_host: Sshd, tmp_path: Path, name: str
) -> None:
    for ends in ends_at(far_host, tmp_path, tmp_path / "archive"):
        far = ends.transport._far  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="is not a temporary file"):
            far.ask_of(name, 'rm -f -- "$1"')
        path = tmp_path / "archive" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not ours")
        ended = far._run(_OURS + 'rm -f -- "$1"', [far_name(name)])  # it looks for itself
        assert "Nothing was written over it" in str(far.trouble(ended))
        assert path.read_bytes() == b"not ours"
        path.unlink()


@pytest.mark.parametrize("where", ["the folder", "the file"])
def test_a_link_at_the_far_end_is_not_followed(ends: Ends, tmp_path: Path, where: str) -> None:
    parcel = replace(a_parcel(ends, DATA), destination_path="night/pkg.tar")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    there = tmp_path / "archive" / temporary_path(parcel.destination_path, parcel.token)
    precious = elsewhere / there.name
    precious.write_bytes(b"precious")
    if where == "the folder":
        there.parent.symlink_to(elsewhere)
    else:
        there.parent.mkdir()
        there.symlink_to(precious)
    with pytest.raises(GiveUp, match="a link stands where a package is to arrive") as caught:
        ends.transport.send(parcel)
    assert caught.value.reason == "a link at the far end"
    assert precious.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("code", "said", "kind", "words"),
    [
        (11, "rsync: write failed on x: No space left on device (28)", NoRoom, "is full"),
        (12, "rsync: [receiver] write failed: Disk quota exceeded (122)", NoRoom, "over its quota"),
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
