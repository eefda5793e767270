"""The bbcp transport over a real sshd: the same promises as rsync's.

By bbcp itself where it is installed, and by a stand-in for it everywhere.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nightferry.durable import init_location
from nightferry.errors import ConfigError, GiveUp, Retry, Unavailable
from nightferry.stores import PosixStore
from nightferry.testing.store_contract import get
from nightferry.testing.transport_contract import Ends, TransportContract, a_parcel
from nightferry.transports import BbcpTransport, Elsewhere, open_transport
from nightferry.transports.ssh import Ended

from tests.sshd import Sshd, sshd

STAND_IN = Path(__file__).with_name("bbcp_stand_in.py")


@pytest.fixture(scope="module")
def far_host() -> Iterator[Sshd]:
    with sshd() as server:
        yield server


@pytest.fixture(params=["bbcp", "stand-in"])
def program(
    request: pytest.FixtureRequest,
    far_host: Sshd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """What is called bbcp at both ends."""
    monkeypatch.setattr("nightferry.transports.rsync.SMALL", 0)  # else it needs no bbcp
    if request.param == "bbcp":
        if shutil.which("bbcp") is None:
            pytest.skip("bbcp is not installed: only its stand-in is tried")
        yield request.param
        return
    script = f'exec {sys.executable} {STAND_IN} "$@"'
    here = tmp_path / "bin" / "bbcp"
    here.parent.mkdir()
    here.write_text(f"#!/bin/sh\n{script}\n")
    here.chmod(0o755)
    monkeypatch.setenv("PATH", f"{here.parent}:{os.environ['PATH']}")
    with far_host.instead_of("bbcp", script):
        yield request.param


def ends_at(far_host: Sshd, here: Path, **settings: object) -> Iterator[Ends]:
    for name in ("dome", "archive"):
        (here / name).mkdir(exist_ok=True)
    init_location(here / "dome", "dome")
    marker = init_location(here / "archive", "archive").marker
    with (
        PosixStore("dome", here / "dome") as source,
        PosixStore("archive", here / "archive") as destination,
    ):
        transport = open_transport(
            "bbcp", "link", source, Elsewhere("archive", marker),
            far_host.settings(here / "archive", **settings),
        )  # fmt: skip
        yield Ends(transport, source, destination)


class TestBbcpTransport(TransportContract):
    DATA = TransportContract.DATA

    @pytest.fixture
    def ends(self, program: str, far_host: Sshd, tmp_path: Path) -> Iterator[Ends]:
        yield from ends_at(far_host, tmp_path)


@pytest.mark.usefixtures("program")
def test_a_strange_name_and_a_bandwidth(far_host: Sshd, tmp_path: Path) -> None:
    for ends in ends_at(far_host, tmp_path, bandwidth={"rate": "1 MB"}, connections=2):
        name = "2024/with 'space'  $x and %FF.tar"
        parcel = replace(a_parcel(ends, TransportContract.DATA), destination_path=name)
        began = time.monotonic()
        sent = ends.transport.send(parcel)
        assert get(ends.destination, sent.temporary) == TransportContract.DATA
        assert time.monotonic() - began >= 0.9 * len(TransportContract.DATA) / 1e6


@pytest.mark.usefixtures("program")
def test_a_far_end_without_bbcp_is_said(far_host: Sshd, tmp_path: Path) -> None:
    with far_host.instead_of("bbcp", 'echo "sh: 1: exec: bbcp: not found" >&2; exit 127'):
        for ends in ends_at(far_host, tmp_path):
            with pytest.raises(GiveUp, match="Install bbcp there"):
                ends.transport.send(a_parcel(ends, TransportContract.DATA))


def test_a_host_without_bbcp_is_said(
    far_host: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ends in ends_at(far_host, tmp_path):
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(Unavailable, match="bbcp is not installed on this host"):
            ends.transport.probe()


@pytest.mark.parametrize(
    ("code", "said", "kind", "words"),
    [
        (1, "sh: 1: exec: bbcp: not found", GiveUp, "Install bbcp there"),
        (1, "bbcp: No space left on device writing x", Retry, "is full"),
        (255, "ssh: connect to host x port 22: No route to host", Unavailable, "does not answer"),
    ],
)
def test_what_it_says_is_named_by_what_to_do_next(
    far_host: Sshd, tmp_path: Path, code: int, said: str, kind: type[Exception], words: str
) -> None:
    for ends in ends_at(far_host, tmp_path):
        assert isinstance(ends.transport, BbcpTransport)
        trouble = ends.transport._trouble(a_parcel(ends, b"x"), Ended(code, "", said))
        assert isinstance(trouble, kind)
        assert words in str(trouble)


def test_too_many_connections_are_refused(tmp_path: Path) -> None:
    settings = {"account": "far", "path": "/a", "connections": 100}
    with pytest.raises(ConfigError, match="connections"):
        open_transport("bbcp", "link", PosixStore("a", tmp_path), Elsewhere("b", None), settings)
