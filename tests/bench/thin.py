"""A thin link under small observations that keep coming: how much of its time it carries.

The link is a pair of interfaces with 20 Mbit/s (tbf), the far host a network namespace with an sshd
of its own; all daemons are real. More is observed than the link can carry, a frame at a time. What
counts is what went out of the interface while it did, next to what it could have carried.
"""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.bench.chain import Chain, chain
from tests.bench.frames import frame_of
from tests.bench.ground import Ground, until
from tests.bench.lines import Line, Result, result
from tests.sshd import sshd

BITS = 20_000_000  # a second
FRAME = 1_000_000  # bytes
PACKAGE = 3_000_000  # bytes: an observation of a few frames
EVERY = 0.33  # seconds between two frames: a fifth more than the link can carry
HERE, THERE = "10.78.0.1", "10.78.0.2"
DAEMONS = (
    ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"), ("center", "verify"),
)  # fmt: skip
SETTLE = {"quiet": "0.2 s", "looks": 1, "looks_apart": "0.1 s", "sweep_today": "2 s"}


def measure(ground: Ground) -> Iterator[Result]:
    seconds = 40.0 if ground.quick else 300.0
    line = Line(
        "thin", f"bytes out of a link of {BITS // 1_000_000} Mbit/s in {seconds:.0f} s of small observations",
        "what it can carry", "bytes", "at least", 0.9,
    )  # fmt: skip
    with (
        _link() as (interface, enter),
        sshd(THERE, enter) as far,
        ground.place("far") as folder,
    ):
        route = {
            "from": "dome-buffer",
            "to": "center-buffer",
            "transport": "rsync",
            "settings": far.settings(folder / "buffer", streams=4),
        }
        with chain(
            ground, settle=SETTLE, policy={"package_size": PACKAGE},
            extra={"routes": {"dome-to-center": route}},
        ) as sites:  # fmt: skip
            (folder / "buffer").symlink_to(sites.sites.path("center-buffer"))
            _apart(sites)
            for site, daemon in DAEMONS:
                sites.start(site, daemon)
            with _observing(sites.source):
                ground.tell("thin: waiting until more is packed than the link carries")
                until(lambda: _sent(interface) > PACKAGE, "a package over the link")
                for _ in range(300):  # not more often: the question itself is work for the machine
                    if _waiting(sites) > 2:
                        break
                    threading.Event().wait(1.0)
                ground.tell(f"thin: {seconds:.0f} s of observations")
                before, began = _sent(interface), time.monotonic()
                threading.Event().wait(seconds)
                sent, took = _sent(interface) - before, time.monotonic() - began
                ground.tell(f"thin: {_waiting(sites)} packages wait at the end")
    yield result(line, [(float(sent), BITS / 8 * took)])


def _apart(sites: Chain) -> None:
    """The dome has not mounted the centre's buffer."""
    path = sites.sites.config("dome")
    host = yaml.safe_load(path.read_text())
    del host["locations"]["center-buffer"]
    path.write_text(yaml.safe_dump(host))


def _waiting(sites: Chain) -> int:
    """Packages that have still to cross. None at the end: the link had nothing more to carry."""
    return int(sites.rows("SELECT count(*) AS packages FROM crossing")[0].packages)


def _sent(interface: str) -> int:
    return int(Path(f"/sys/class/net/{interface}/statistics/tx_bytes").read_text())


@contextmanager
def _observing(source: Path) -> Iterator[None]:
    """A frame at a time, as an instrument writes them: under another name first."""
    over = threading.Event()

    def observe() -> None:
        number = 0
        while not over.wait(EVERY):
            partial = source / f".f{number:06d}.part"
            partial.write_bytes(frame_of(number, FRAME, 36))
            partial.rename(source / f"f{number:06d}.fits")
            number += 1

    observing = threading.Thread(target=observe)
    observing.start()
    try:
        yield
    finally:
        over.set()
        observing.join()


@contextmanager
def _link() -> Iterator[tuple[str, list[str]]]:
    """Our end of it, and how to enter the far host."""
    name, near, far = f"nf{os.getpid()}", f"nfa{os.getpid()}", f"nfb{os.getpid()}"
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _run("ip", "addr", "add", f"{HERE}/24", "dev", near)
        _run("ip", "link", "set", near, "up")
        _run("ip", "-n", name, "addr", "add", f"{THERE}/24", "dev", far)
        _run("ip", "-n", name, "link", "set", far, "up")
        _run("ip", "-n", name, "link", "set", "lo", "up")
        _run(
            "tc", "qdisc", "add", "dev", near, "root", "tbf", "rate", str(BITS), "burst", "32kbit",
            "latency", "200ms",
        )  # fmt: skip
        yield near, ["ip", "netns", "exec", name]
    finally:
        _run("ip", "netns", "del", name)  # and the link with it


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
