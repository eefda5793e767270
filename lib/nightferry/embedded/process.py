"""How a program of PostgreSQL is started, and the locks that say who is alive."""

import ctypes
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from nightferry.errors import NightferryError
from nightferry.state import Account

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class ServerRefused(NightferryError):
    """The embedded server can't be started as things are. The text says why, where, what to do."""


def spawn(
    command: Sequence[str | Path],
    account: Account,
    output: int,
    environment: Mapping[str, str] | None = None,
    inherited: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start ``command`` as ``account``; the kernel sends it SIGINT when the calling thread ends."""
    parent = os.getpid()

    def die_with_parent() -> None:  # runs after setuid, which would undo it
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(
        command,
        cwd="/",  # ours may be one that the server's user can't enter
        # Nothing of our environment: PGDATA, PGPORT and others change what the server does.
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C is for us: the server stops after its clients
        pass_fds=inherited,
        preexec_fn=die_with_parent,
        **account.identity(),
    )


def lock(path: Path) -> int | None:
    """Hold ``path`` for as long as the descriptor or a child's copy of it is open; None if held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def wait_for(look: Callable[[], T | None], seconds: float, complaint: Callable[[], str]) -> T:
    """What ``look`` sees, once it sees something. Raises ServerRefused after ``seconds``."""
    deadline = time.monotonic() + seconds
    while (seen := look()) is None:
        if time.monotonic() > deadline:
            raise ServerRefused(complaint())
        time.sleep(0.02)
    return seen


def options(flag: str, settings: Mapping[str, str]) -> list[str]:
    """The settings as the command line takes them: FLAG name=value FLAG name=value."""
    return [word for name, value in settings.items() for word in (flag, f"{name}={value}")]


def text(path: Path) -> str:
    """What a small file holds; nothing where there is none."""
    return path.read_text().strip() if path.exists() else ""
