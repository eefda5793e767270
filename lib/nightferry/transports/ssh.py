"""A directory of another host, reached over ssh: what is asked there, and what its errors mean.

The far end needs a shell, coreutils and rsync. Its host key must be known and ours must open the
account without a question: nobody is there to answer.
"""

import os
import re
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import IO

from nightferry.errors import GiveUp, NightferryError, NoRoom, Retry, Unavailable
from nightferry.marker import MARKER_FILE
from nightferry.names import to_bytes
from nightferry.temporary import parse_temporary

PATIENCE = 60  # seconds without a sign of life from the far end
# Those that processors do by themselves first: a fast link is not to wait for its encryption.
_CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr"
_LAST_WORDS = 5.0  # seconds for the far end to write what it got, once it gets no more
_EVERY = 0.05  # seconds between two looks at what is said
_NO_MARKER, _NO_DIRECTORY, _NOT_OURS = 64, 65, 66
# The far end looks for itself, too: the name is a temporary's, and no link leads elsewhere.
_OURS = f"""
case "${{1##*/}}" in .*.????????-????-????-????-????????????.part) ;; *) exit {_NOT_OURS} ;; esac
[ "$(realpath -m -- "$1")" = "$(pwd -P)/${{1#./}}" ] || exit {_NOT_OURS}
"""

# What happened, as ssh, rsync and the far shell say it; and what it means.
_KEY = re.compile(
    r"Host key verification failed|IDENTIFICATION HAS CHANGED|No .* host key is known"
)
_REFUSED = re.compile(r"Permission denied \((publickey|password|keyboard)|Too many authentication")
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_READ_ONLY = re.compile(r"Read-only file system|Stale file handle|Transport endpoint")
_NO_RSYNC = re.compile(r"rsync: (command )?not found|remote command not found")
_NO_RIGHT = re.compile(r"Permission denied|Operation not permitted")


@dataclass(frozen=True)
class Far:
    """``account`` is user@host or host; ``path`` the location's root there."""

    route: str
    location: str
    account: str
    path: str
    marker: str | None = None
    port: int = 22
    key: Path | None = None  # absent: those that ssh finds by itself
    known_hosts: Path | None = None  # absent: the user's and the system's

    @cached_property
    def shell(self) -> list[str]:
        """ssh with its options. Commands share one connection, but only with the same keys: who
        was known by one known_hosts is not known by another."""
        keys = sha256(f"{self.key} {self.known_hosts} ".encode() + self._known()).hexdigest()[:8]
        return [
            "ssh", "-F", "/dev/null", "-p", str(self.port), *self._keys(),
            "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15",
            "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3", "-o", "LogLevel=ERROR",
            "-o", f"Ciphers={_CIPHERS}", "-o", "ControlMaster=auto", "-o", "ControlPersist=20",
            "-o", f"ControlPath={_sockets() / keys}%C",
        ]  # fmt: skip

    def _keys(self) -> list[str]:
        options: list[str] = []
        if self.key is not None:
            options += ["-o", "IdentitiesOnly=yes", "-i", str(self.key)]
        if self.known_hosts is not None:
            options += ["-o", f"UserKnownHostsFile={self.known_hosts}"]
            options += ["-o", "GlobalKnownHostsFile=/dev/null"]
        return options

    def _known(self) -> bytes:
        """What is known now: ssh says itself that a file can't be read."""
        try:
            return self.known_hosts.read_bytes() if self.known_hosts is not None else b""
        except OSError:
            return b""

    def answers(self) -> None:
        """Returns if the location is there, its marker seen. Raises Unavailable, Retry, GiveUp."""
        ended = self._run("true", [])
        if ended.code:
            raise self.trouble(ended)

    def ask_of(
        self, temporary: str, script: str, waiting: Callable[[], None] = lambda: None
    ) -> str:
        """Runs a shell script about ``temporary``, its ``$1``, in the location's root, once its
        marker was seen; what it printed. A script may remove what it is about: no name but a
        temporary's of ours is ever given to one.

        Raises:
            ValueError: it is no temporary's name.
            Unavailable, Retry, GiveUp: as its errors mean.
        """
        ended = self.tell_of(temporary, script, waiting=waiting)
        if ended.code:
            raise self.trouble(ended)
        return ended.said

    def tell_of(
        self,
        temporary: str,
        script: str,
        *values: str,
        waiting: Callable[[], None] = lambda: None,
        send: Iterator[bytes] | None = None,
    ) -> "Ended":
        """As :meth:`ask_of`, with ``values`` from ``$2`` on and ``send`` for its standard input;
        and however it ends. Raises ValueError."""
        if parse_temporary(temporary) is None:
            raise ValueError(f"{temporary} is not a temporary file")
        return self._run(_OURS + script, [far_name(temporary), *values], waiting, send)

    def _run(
        self,
        script: str,
        values: list[str],
        waiting: Callable[[], None] = lambda: None,
        send: Iterator[bytes] | None = None,
    ) -> "Ended":
        guarded = (
            f"cd -P -- {shlex.quote(self.path)} || exit {_NO_DIRECTORY}\n"
            f"grep -qF -- {shlex.quote(self.marker or self.location)} {MARKER_FILE} "
            f"|| exit {_NO_MARKER}\n{script}"
        )
        command = shlex.join(["sh", "-c", guarded, "nightferry", *values])
        return run([*self.shell, self.account, command], waiting, send=send)

    def trouble(self, ended: "Ended") -> NightferryError:
        """What the end of ssh, or of rsync, means to us."""
        told = " ".join(ended.trouble.split())[-400:]
        said = (
            f"route {self.route}: {self.account}:{self.path}: {told or f'ended with {ended.code}'}"
        )
        if ended.code == _NO_MARKER:
            return self._away(
                f"route {self.route}: {self.account}:{self.path} has no marker of {self.location}. "
                "Mount its disk there, or correct the path in observatory.yaml."
            )
        if ended.code == _NO_DIRECTORY:
            return self._away(f"{said} There is no such directory: mount it.")
        if ended.code == _NOT_OURS:
            return GiveUp(
                "a link at the far end",
                f"route {self.route}: at {self.account}:{self.path} a link stands where a package "
                "is to arrive, or in the folders above it. Nothing was written over it: look at "
                "who made it, and take it away.",
            )
        if _KEY.search(ended.trouble):
            return self._away(
                f"{said} The far host's key is not the one in {self.known_hosts or 'known_hosts'}. "
                "Nothing was sent. Find out why before you take the new key."
            )
        if _REFUSED.search(ended.trouble):
            return self._away(f"{said} Give our key {self.key or ''} the account there.")
        if _FULL.search(ended.trouble):
            return NoRoom(f"{said} {self.location} is full, or over its quota: make room there.")
        if _READ_ONLY.search(ended.trouble):
            return self._away(f"{said} See that its disk is mounted for writing.")
        if ended.code == 127 or _NO_RSYNC.search(ended.trouble):
            return GiveUp("no rsync at the far end", f"{said} Install rsync there.")
        if ended.code in (255, 10, 12, 30, 35):
            return self._away(f"{said} The far host does not answer.")
        if _NO_RIGHT.search(ended.trouble):
            return Retry(f"{said} Give the account the right to write there.")
        return Retry(f"{said} Look at the far host.")

    def _away(self, said: str) -> Unavailable:
        return Unavailable(self.route, said)


def local_name(path: str) -> str:
    """As this system's programs take it."""
    return to_bytes(path).decode("utf-8", "surrogateescape")


def far_name(path: str) -> str:
    """As the far disk has it: never one that begins like an option."""
    return f"./{local_name(path)}"


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, what it printed, and what it said on stderr."""

    code: int
    said: str
    trouble: str


def run(
    command: Sequence[str],
    waiting: Callable[[], None],
    heard: Callable[[str], None] = lambda _: None,
    until: float | None = None,
    send: Iterator[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Runs a program to its end. ``waiting`` is called all the while and ends it by raising;
    ``heard`` gets what it prints, as it comes. At ``until`` (monotonic) it is ended in good order.
    ``send`` is its standard input, and may end it by raising as well.
    """
    with (
        tempfile.TemporaryFile() as trouble,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL if send is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=trouble,
            env={**(environment or os.environ), "LC_ALL": "C"},
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        said: list[str] = []
        try:
            if send is not None:
                _feed(process, send, waiting)
            while True:
                ended = process.poll() is not None
                if text := (process.stdout.read() or b"").decode("utf-8", "replace"):
                    said.append(text)
                    heard(text)
                if ended:
                    break
                waiting()
                if until is not None and time.monotonic() > until:
                    process.terminate()
                _wait_a_little(process)
        except BaseException:
            process.terminate()
            raise
        trouble.seek(0)
        return Ended(process.returncode, "".join(said), trouble.read().decode("utf-8", "replace"))


def _feed(
    process: "subprocess.Popen[bytes]", send: Iterator[bytes], waiting: Callable[[], None]
) -> None:
    """All of it, or as much as is taken. Whatever ends it, the program first writes what it got."""
    assert process.stdin is not None
    pipe = process.stdin.fileno()
    os.set_blocking(pipe, False)
    try:
        for chunk in send:
            rest = memoryview(chunk)
            while rest and process.poll() is None:
                if select.select([], [pipe], [], _EVERY)[1]:
                    rest = rest[os.write(pipe, rest) :]
                else:
                    waiting()
    except BrokenPipeError:
        return  # it ended before: its code says why
    except BaseException:
        _close(process.stdin)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LAST_WORDS)
        raise
    finally:
        _close(process.stdin)


def _close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        pipe.close()


def _wait_a_little(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(_EVERY)
    except subprocess.TimeoutExpired:
        pass


_folder: "tempfile.TemporaryDirectory[str] | None" = None


def _sockets() -> Path:
    """Where this process's connections have their sockets. A socket's path has at most 107 bytes,
    of which ssh takes 66: where the host's own place for such things is too deep, in /tmp."""
    global _folder
    if _folder is None:
        deep = len(os.fsencode(tempfile.gettempdir())) > 107 - 66 - len("/nf-ssh-xxxxxxxx/")
        _folder = tempfile.TemporaryDirectory(
            prefix="nf-ssh-", dir="/tmp" if deep else None, ignore_cleanup_errors=True
        )
    return Path(_folder.name)
