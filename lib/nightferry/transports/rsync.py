"""Copies to another host by rsync over ssh.

The temporary file at the far end is the partial: what is there is hashed there, compared with our
beginning, and gone on with. A small package needs no rsync: it crosses by one command of the far
shell, which looks, writes and settles. Settings of the route: ``account`` (user@host), ``path`` of
the location there, ``port``, ``key``, ``known_hosts``, ``bandwidth`` and ``streams``.
"""

import hashlib
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event

from nightferry import yamlfile
from nightferry.errors import ConfigError, Retry, Stopping, Unavailable
from nightferry.names import to_bytes
from nightferry.stores.base import Store
from nightferry.stores.posix import PosixStore
from nightferry.temporary import temporary_path
from nightferry.transports.bandwidth import Bandwidth, Meter
from nightferry.transports.base import MOST_STREAMS, Elsewhere, NotTheParcel, Parcel, Sent
from nightferry.transports.ssh import PATIENCE, Ended, Far, run

_BYTES = re.compile(r"^\s*([\d,]+)\s+\d+%", re.MULTILINE)
_STOPPED = (-15, 20)  # by us: the bandwidth changes
_SLACK = 1024 * 1024  # room that is left at the far end
# Bytes of a package that crosses by one command of the far shell: asking first, starting rsync and
# settling afterwards would take longer than its bytes.
SMALL = 16 * 1024 * 1024
_BEGUN_BEFORE, _NO_ROOM = 66, 67

# Its names are ours: only a temporary file's is ever given to these.
_LOOK = """mkdir -p -- "$(dirname -- "$1")" && : >>"$1" || exit 1
stat -c %s -- "$1"; stat -f -c '%a %S' -- "$1"
"""
_HASH = """sha256sum <"$1" """
_BEGIN_AGAIN = """: >"$1" """
_WHOLE = """mkdir -p -- "$(dirname -- "$1")" || exit 1
[ -s "$1" ] && exit 66
: >>"$1" || exit 1
set -- "$1" "$2" $(stat -f -c '%a %S' -- "$1")
[ $(($3 * $4)) -ge "$2" ] || { rm -f -- "$1"; exit 67; }
cat >>"$1" && sync -- "$1" "$(dirname -- "$1")"
"""
_FORGET = """rm -f -- "$1" """
_SETTLE = """sync -- "$1" "$(dirname -- "$1")" """


@dataclass(frozen=True)
class Settings:
    """``settings:`` of a route in observatory.yaml."""

    account: str
    path: Path
    port: int = 22
    key: Path | None = None
    known_hosts: Path | None = None
    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    streams: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.@:%-]*", self.account):
            raise ValueError(f"account must be user@host, not {self.account!r}")
        if not self.path.is_absolute():
            raise ValueError("path must be absolute: it is the location's root at the far end")
        if not 1 <= self.streams <= MOST_STREAMS:
            raise ValueError(f"streams must be from 1 to {MOST_STREAMS}")


class RsyncTransport:
    """The route ``route`` from ``source``, mounted here, to a directory of another host."""

    settings_kind: type[Settings] = Settings

    def __init__(self, route: str, source: PosixStore, far: Far, settings: Settings) -> None:
        self.route = route
        self.settings = settings
        self._source = source
        self._far = far

    @classmethod
    def from_settings(
        cls,
        route: str,
        source: Store,
        destination: Store | Elsewhere,
        settings: Mapping[str, object],
    ) -> "RsyncTransport":
        """Raises ConfigError."""
        how = yamlfile.parse(
            json.dumps(dict(settings)), cls.settings_kind, f"route {route}: settings"
        )
        if not isinstance(source, PosixStore):
            raise ConfigError(f"route {route}: its bytes are read from a directory")
        if not isinstance(destination, Elsewhere | PosixStore):
            raise ConfigError(f"route {route}: its bytes are written into a directory")
        far = Far(
            route, destination.location, how.account, str(how.path), destination.marker, how.port,
            how.key, how.known_hosts,
        )  # fmt: skip
        return cls(route, source, far, how)

    @property
    def streams(self) -> int:
        return self.settings.streams

    def probe(self) -> None:
        try:
            self._source.probe()
        except Unavailable as error:
            raise Unavailable(self.route, f"route {self.route}: {error}") from error
        self._far.ask("true")

    def send(self, parcel: Parcel, progress: Callable[[int], None] | None = None) -> Sent:
        tell = progress or _ignore
        seen = self._source.size(parcel.path)
        if seen != parcel.size:
            raise self._not_the_parcel(parcel, f"it has {seen} bytes, not {parcel.size}")
        temporary = temporary_path(parcel.destination_path, parcel.token)
        if parcel.size <= SMALL and self._send_whole(parcel, temporary, tell):
            return Sent(temporary, parcel.size, 0)
        there = self._begin(parcel, temporary, tell)
        tell(there)
        stop = Event()
        with ThreadPoolExecutor(1) as beside:
            hashing = beside.submit(self._hash, parcel.path, stop)
            try:
                self._carry(parcel, temporary, there, tell)
                while not hashing.done():
                    tell(parcel.size)
                    stop.wait(0.05)
            except BaseException:
                stop.set()
                raise
        self._compare(parcel, temporary, hashing.result())
        self._far.ask(_SETTLE, far_name(temporary), waiting=lambda: tell(parcel.size))
        return Sent(temporary, parcel.size - there, there)

    def _send_whole(self, parcel: Parcel, temporary: str, tell: Callable[[int], None]) -> bool:
        """A small package, by one command. False: something of it is there already."""
        digest = hashlib.sha256()

        def through() -> Iterator[bytes]:
            meter = Meter(self.settings.bandwidth, self.settings.streams)
            sent = 0
            for chunk in self._source.read(parcel.path, 0, parcel.size):
                digest.update(chunk)
                yield chunk
                sent += len(chunk)
                tell(sent)
                meter.sent(len(chunk), partial(tell, sent))

        ended = self._far.tell(
            _WHOLE, far_name(temporary), str(parcel.size + _SLACK), send=through()
        )
        if ended.code == _BEGUN_BEFORE:
            return False
        if ended.code == _NO_ROOM:
            raise self._no_room(parcel, parcel.size)
        if ended.code:
            raise self._trouble(parcel, ended)
        self._compare(parcel, temporary, digest.hexdigest())
        return True

    def _compare(self, parcel: Parcel, temporary: str, sha256: str) -> None:
        """What was read here is what the ledger says; else nothing of it stays there."""
        if sha256 != parcel.sha256:
            self._far.ask(_FORGET, far_name(temporary))
            raise self._not_the_parcel(parcel, f"its bytes do not have the SHA-256 {parcel.sha256}")

    def _begin(self, parcel: Parcel, temporary: str, tell: Callable[[int], None]) -> int:
        """How much of it is there already: its beginning, or nothing; and room for the rest."""
        name = far_name(temporary)
        size, blocks, block = map(int, self._far.ask(_LOOK, name).split())
        if size and (size > parcel.size or not self._agrees(parcel, name, size, tell)):
            self._far.ask(_BEGIN_AGAIN, name)
            blocks, size = blocks + size // block, 0
        if blocks * block < parcel.size - size + _SLACK:
            self._far.ask('[ -s "$1" ] || rm -f -- "$1"', name)
            raise self._no_room(parcel, parcel.size - size)
        return size

    def _no_room(self, parcel: Parcel, needed: int) -> Retry:
        return Retry(
            f"route {self.route}: {parcel.destination_path} needs {needed} bytes, and "
            f"{self._far.location} has fewer free: make room there."
        )

    def _agrees(self, parcel: Parcel, name: str, size: int, tell: Callable[[int], None]) -> bool:
        there = self._far.ask(_HASH, name, waiting=lambda: tell(0)).split()[0]
        digest = hashlib.sha256()
        for chunk in self._source.read(parcel.path, 0, size):
            digest.update(chunk)
            tell(0)
        return digest.hexdigest() == there

    def _hash(self, path: str, stop: Event) -> str:
        """Of the sender's copy, beside the sending: the system's cache serves both."""
        digest = hashlib.sha256()
        for chunk in self._source.read(path):
            digest.update(chunk)
            if stop.is_set():
                raise Stopping("the sending ended")
        return digest.hexdigest()

    def _carry(
        self, parcel: Parcel, temporary: str, there: int, tell: Callable[[int], None]
    ) -> None:
        """All that is missing; again at each change of the bandwidth."""
        done = there

        def heard(text: str) -> None:
            nonlocal done
            for said in _BYTES.findall(text):
                # What rsync says of an appended file counts what was there.
                done = max(done, min(parcel.size, int(said.replace(",", ""))))

        if there == parcel.size:
            return
        while True:
            change = self.settings.bandwidth.until_change()
            until = None if change is None else time.monotonic() + change.total_seconds() + 1
            ended = run(self._command(parcel, temporary), lambda: tell(done), heard, until)
            if ended.code == 0:
                return
            if ended.code not in _STOPPED or until is None or time.monotonic() < until:
                raise self._trouble(parcel, ended)

    def _command(self, parcel: Parcel, temporary: str) -> list[str]:
        rate = self.settings.bandwidth.now() // self.settings.streams
        here = self._source.path / Path(local_name(parcel.path))
        return [
            "rsync", "--inplace", "--append", "--no-whole-file", "--protect-args",
            "--info=progress2", "--outbuf=L", f"--timeout={PATIENCE}",
            *([f"--bwlimit={max(1, rate // 1024)}"] if rate else []),
            "-e", shlex.join(self._far.shell),
            "--", str(here), f"{self._far.account}:{self._far.path}/{far_name(temporary)}",
        ]  # fmt: skip

    def _trouble(self, parcel: Parcel, ended: Ended) -> Exception:
        self._source.size(parcel.path)  # FileNotFoundError: it is the sender's that went
        return self._far.trouble(ended)

    def _not_the_parcel(self, parcel: Parcel, why: str) -> NotTheParcel:
        return NotTheParcel(
            f"{self._source.location}:{parcel.path}: {why}. The sender's copy is not what the "
            "ledger says, and nothing of it was kept at the destination. Verify that copy.",
        )


def local_name(path: str) -> str:
    return to_bytes(path).decode("utf-8", "surrogateescape")


def far_name(temporary: str) -> str:
    """As the far disk has it: never one that begins like an option."""
    return f"./{local_name(temporary)}"


def _ignore(_: int) -> None:
    """Nobody asked for progress."""
