"""The server's data directory: the one there is, or a new one; never a new one instead of another.

A note beside it, ``18.initdb``, says whether initdb came to its end. Without a note the directory
was put there by a person, from a backup, and is served if it is what it seems to be.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

from nightferry.embedded.binaries import MAJOR
from nightferry.embedded.process import ServerRefused, options, spawn, text
from nightferry.state import Account

OWNER = "nightferry"  # the server's superuser, and the name of the ledger's database

# initdb writes these to postgresql.conf, where a site may change them.
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_level": "replica",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


def data_directory(home: Path, binaries: Path, account: Account, *, durable: bool) -> Path:
    """The data directory in ``home`` to serve, made if there is none.

    Raises ServerRefused for one of another major version, of another user, or that is none.
    """
    for name in (MAJOR, *(f"{MAJOR}-{n}" for n in range(2, 10))):
        data, note = home / name, home / f"{name}.initdb"
        unfinished = text(note).splitlines()[-1:] == ["begun"]
        if data.exists() and not unfinished:
            _refuse_unservable(data, account)
            return data
        if not data.exists() or not any(data.iterdir()):
            _refuse_other_majors(home)
            _initdb(data, note, binaries, account, durable)
            return data
        print(
            f"{data} was never finished, so no database was ever in it, and it may be removed. "
            "Making another beside it.",
            file=sys.stderr,
        )
    raise ServerRefused(
        f"{home} holds only data directories that were never finished. Is the disk full? "
        f"Remove {home / MAJOR} and those numbered after it, and start again."
    )


def _initdb(data: Path, note: Path, binaries: Path, account: Account, durable: bool) -> None:
    note.write_text("begun\n")
    data.mkdir(mode=0o700, exist_ok=True)
    account.take(data)
    command = [
        *(binaries / "initdb", "-D", data, "--username", OWNER, "--encoding=UTF8"),
        # Built in, and by code point: no upgrade of the system can put an index out of order.
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *("--auth-local=trust", "--auth-host=reject", "--no-instructions"),
        *(() if durable else ("--no-sync",)),
        *options("--set", SETTINGS),
    ]
    with tempfile.TemporaryFile() as output:
        status = spawn(command, account, output.fileno()).wait()
        if status != 0:
            output.seek(0)
            said = output.read().decode(errors="replace")
            raise ServerRefused(f"no database could be made in {data}. initdb says:\n{said}")
    with note.open("a") as file:
        file.write("done\n")
        file.flush()
        os.fsync(file.fileno())


def _refuse_other_majors(home: Path) -> None:
    for other in sorted(home.iterdir()):
        if re.fullmatch(r"\d+(-\d+)?", other.name) and text(other / "PG_VERSION"):
            _refuse_version(other)


def _refuse_version(data: Path) -> None:
    version = text(data / "PG_VERSION")
    if version == MAJOR:
        return
    raise ServerRefused(
        f"{data} was written by PostgreSQL {version}, and this release brings {MAJOR}. "
        "It is left as it is. To take it over:\n"
        f"  1. with the release that wrote it: start it; pg_dump -Fc -f ledger.dump {OWNER}; "
        "stop it\n"
        f"  2. mv {data} {data}.old\n"
        f"  3. with this release: start it; pg_restore -d {OWNER} ledger.dump\n"
        "  4. nf audit"
    )


def _refuse_unservable(data: Path, account: Account) -> None:
    if not text(data / "PG_VERSION"):
        raise ServerRefused(
            f"{data} is no data directory of PostgreSQL: it has no PG_VERSION. Nothing is written "
            "over it. Put back what was there, or move it away to start with an empty database."
        )
    _refuse_version(data)
    owner = data.stat().st_uid
    if owner != account.uid:
        raise ServerRefused(
            f"{data} belongs to user id {owner}, and the server would run as {account.name!r}, "
            f"user id {account.uid}. Name the user that it belongs to."
        )
