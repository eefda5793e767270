"""Where the server listens: a socket in a private directory, and the DSN that says so."""

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path
from urllib.parse import quote

from nightferry.embedded.data import OWNER
from nightferry.embedded.process import ServerRefused
from nightferry.state import Account, barred

LONGEST_SOCKET_PATH = 107  # bytes: the kernel's limit, fatal to the server
SOCKET_NAME = ".s.PGSQL.5432"


def socket_directory(home: Path, account: Account) -> Path:
    """A directory of ``account`` alone, with a path short and plain enough for a socket.

    Beside the data if it can be; else in a runtime or temporary directory, with a name made from
    ``home``, so that each start finds the same one. Raises ServerRefused where there is none.
    """
    mark = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    runtime = (os.environ.get("RUNTIME_DIRECTORY"), os.environ.get("XDG_RUNTIME_DIR"))
    parents = [Path(parent) for parent in (*runtime, tempfile.gettempdir(), "/tmp") if parent]
    for directory in (home / "socket", *(parent / f"nightferry-{mark}" for parent in parents)):
        # In a DSN a comma parts two hosts, and a colon a host and its port.
        plain = re.fullmatch(r"/[A-Za-z0-9_./+=~-]+", str(directory))
        fits = len(os.fsencode(directory / SOCKET_NAME)) <= LONGEST_SOCKET_PATH
        if plain and fits and _private(directory, account):
            return directory
    raise ServerRefused(
        f"there is no directory for the server's socket. The path of {home} is too long for one, "
        f"or is not plain, and no runtime or temporary directory is open to {account.name!r}. "
        "Give a state directory with a shorter path."
    )


def dsn(socket: Path, database: str = OWNER) -> str:
    # The port is the default one, named so that PGPORT in somebody's environment changes nothing.
    return f"postgresql://{OWNER}@/{database}?host={quote(str(socket))}&port=5432"


def _private(directory: Path, account: Account) -> bool:
    """Make ``directory`` for ``account``; false where that can't be, or it is somebody else's."""
    parent = directory.parent
    if not (parent.is_dir() and os.access(parent, os.W_OK) and barred(parent, account) is None):
        return False
    if not directory.exists():
        directory.mkdir(mode=0o700)
        account.take(directory)
    found = directory.lstat()
    return found.st_uid == account.uid and found.st_mode == stat.S_IFDIR | 0o700
