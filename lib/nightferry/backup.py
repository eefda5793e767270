"""The database in one file, in a location, proven by restoring it.

A dump is a snapshot: what is counted in the database and what is dumped is one moment. It is
restored, out of the place where it lies, into a server of its own; only if every table has as many
rows there does it get its name and its row. What was not proven leaves nothing behind.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from nightferry.db import Database, Tx
from nightferry.embedded import Embedded
from nightferry.embedded.binaries import MAJOR, installed
from nightferry.errors import ConfigError, NightferryError
from nightferry.place import BACKUPS
from nightferry.state import make, server_account
from nightferry.stores.base import Store

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Backup:
    """A proven dump: ``rows`` over all ``tables``; it shows the moment ``taken``."""

    location: str
    path: str
    sha256: str
    size: int
    taken: datetime
    tables: int
    rows: int


def backup(database: Database, store: Store, scratch: Path) -> Backup:
    """Dumps the database into ``store`` and proves the dump below the directory ``scratch``.

    Raises:
        Unavailable: the location is not there.
        ConfigError: there is no program that can dump this server.
        NightferryError: the dump failed, or did not give back what was counted.
    """
    store.probe()
    with database.begin() as tx:
        tx.run("backup.still")
        moment = tx.run("backup.snapshot")[0]
        counted = _counts(tx)
        final = f"{BACKUPS}/{moment.taken:%Y-%m-%dT%H%M%SZ}.dump"
        writing = store.write(final, str(uuid.uuid4()))
        sha256 = hashlib.sha256()
        with writing:
            for chunk in _dumped(database.dsn, moment.name, moment.major):
                sha256.update(chunk)
                writing.write(chunk)
            writing.finish()
    try:
        seen = store.read_back(writing.path)
        if seen.sha256 != sha256.hexdigest():
            raise NightferryError(
                f"{store.location}:{final}: what was written there is read as other bytes. It was "
                "not kept: look at that disk, and back up to another location"
            )
        _prove(store, writing.path, counted, moment.major, scratch)
    except BaseException:
        store.discard(writing.path)
        raise
    _publish_sum(store, final, seen.sha256)
    store.publish(writing.path, final, seen.sha256)
    done = Backup(
        store.location, final, seen.sha256, seen.size, moment.taken, len(counted),
        sum(counted.values()),
    )  # fmt: skip
    database.run(
        lambda tx: tx.run(
            "backup.proven", location=done.location, path=done.path, sha256=done.sha256,
            size=done.size, taken=done.taken, rows=done.rows,
        )
    )  # fmt: skip
    return done


def _counts(tx: Tx) -> dict[str, int]:
    return {r.name: r.rows for r in tx.run("backup.counts")}


def _publish_sum(store: Store, final: str, sha256: str) -> None:
    """A text beside it, for ``sha256sum -c``."""
    text = f"{sha256}  {final.rpartition('/')[2]}\n".encode()
    with store.write(f"{final}.sha256", str(uuid.uuid4())) as out:
        out.write(text)
        out.finish()
    store.publish(out.path, f"{final}.sha256", hashlib.sha256(text).hexdigest())


# --- the programs -------------------------------------------------------------------------------


def _dumped(dsn: str, snapshot: str, major: int) -> Iterator[bytes]:
    command = [_program("pg_dump", major), "--format=custom", f"--snapshot={snapshot}"]
    with _running(command, dsn) as process:
        assert process.stdout is not None
        while chunk := process.stdout.read(_CHUNK):
            yield chunk


def _prove(store: Store, path: str, counted: Mapping[str, int], major: int, scratch: Path) -> None:
    """Restores the dump into an empty server and counts.

    Raises:
        NightferryError: it can't be restored, or a table has other rows.
    """
    account = server_account()
    make(scratch, account)
    with tempfile.TemporaryDirectory(prefix="nightferry-proof-", dir=scratch) as folder:
        os.chmod(folder, 0o711)
        with Embedded(Path(folder), durable=False) as server:
            # Owners and rights name users of the real server; what is proven here is the content.
            command = [_program("pg_restore", major), "--no-owner", "--no-acl", "--exit-on-error"]
            with _running(command, server.dsn, feeds=True) as process:
                assert process.stdin is not None
                _feed(process.stdin, store.read(path))
            restored = Database(server.dsn, actor="nf backup")
            try:
                found = restored.run(_counts)
            finally:
                restored.close()
    if found != counted:
        name = min(n for n in {*found, *counted} if found.get(n) != counted.get(n))
        raise NightferryError(
            f"the dump gives back {found.get(name)} rows of {name}, and the database has "
            f"{counted.get(name)}. It was not kept: try again; if it stays so, check the server"
        )


def _feed(target: IO[bytes], chunks: Iterator[bytes]) -> None:
    try:
        for chunk in chunks:
            target.write(chunk)
        target.close()
    except BrokenPipeError:
        return  # it ended before it had all: its exit code and words say why


@contextmanager
def _running(
    command: list[str], dsn: str, feeds: bool = False
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program of PostgreSQL on a database.

    Raises:
        NightferryError: it failed; the text is what it said.
    """
    target = conninfo_to_dict(dsn)
    password = target.pop("password", None)  # a command line is everybody's to read
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, f"--dbname={make_conninfo('', **target)}"],
            stdin=subprocess.PIPE if feeds else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if feeds else subprocess.PIPE,
            stderr=said,
            env=environment,
        )
        try:
            yield process
        except BaseException:
            process.kill()
            process.communicate()
            raise
        process.communicate()
        if process.returncode:
            said.seek(0)
            words = " ".join(said.read().decode(errors="replace").split())
            raise NightferryError(f"{Path(command[0]).name} failed: {words[-600:]}")


def _program(name: str, server: int) -> str:
    """The program, not older than the server: the system's, which speaks TLS, else our own.

    Raises:
        ConfigError: there is none.
    """
    if server > int(MAJOR):
        raise ConfigError(
            f"the server is PostgreSQL {server}, and this release proves dumps up to {MAJOR}: "
            "upgrade nightferry"
        )
    found = shutil.which(name)
    if found is not None and _major(found) >= server:
        return found
    ours = installed(name)
    if ours is None:
        raise ConfigError(f"no {name} of PostgreSQL {server} or newer is installed on this host")
    return str(ours)


def _major(program: str) -> int:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    number = re.search(r"\s(\d+)", answer.stdout)
    return int(number[1]) if number else 0
