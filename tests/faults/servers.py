"""Servers of our own, that can be treated as no person would: killed, filled up, followed by a copy."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from nightferry.embedded import Embedded
from nightferry.embedded.binaries import find_binaries
from nightferry.state import server_account

from tests.database import open_directory
from tests.faults.disks import why_not_mounted

ROOM = 700 << 20  # bytes of the small disk under a database


class Server(Embedded):
    """A server of our own that can be treated as no person would."""

    def __init__(self, place: Path) -> None:
        super().__init__(place, durable=False)
        self.data = self.home / "18"

    def kill(self) -> None:
        """kill -9 of the postmaster: its children find out, and end."""
        os.kill(int((self.data / "postmaster.pid").read_text().split("\n")[0]), signal.SIGKILL)


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A disk that can be filled, if disks may be mounted here; else the folder itself."""
    if why_not_mounted():
        yield place
        return
    options = f"size={ROOM},mode=711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """A copy that follows its primary, as long as nobody cuts the line between them."""
    with open_directory() as place:
        standby = Server(place)
        account = server_account()
        standby.home.mkdir(mode=0o711)
        standby.home.chmod(0o711)
        program = find_binaries(standby.home / "binaries", account) / "pg_basebackup"
        standby.data.mkdir(mode=0o700)
        os.chown(standby.data, account.uid, account.gid)
        subprocess.run(
            [str(program), "-D", str(standby.data), "-R", "-c", "fast", "--no-sync", "-d", primary.dsn],
            check=True, cwd="/", **account.identity(),
        )  # fmt: skip
        with standby:
            yield standby


def tell(server: Server, *statements: str) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def behind(primary: Server, standby: Server) -> int:
    here = tell_one(primary, "SELECT pg_current_wal_lsn()")
    return int(
        tell_one(
            standby, f"SELECT greatest(0, '{here}'::pg_lsn - pg_last_wal_replay_lsn())::bigint"
        )
    )  # type: ignore[call-overload]


def tell_one(server: Server, statement: str) -> object:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None
