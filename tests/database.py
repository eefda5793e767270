"""A database of its own for each test: a clone of one that all migrations were run on."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.sql import SQL, Identifier

MEMORY = Path("/dev/shm")
ENOUGH = 4 << 30  # bytes: of all the databases that one server has at a time, and its log


@contextmanager
def open_directory(*, memory: bool = False) -> Iterator[Path]:
    """A directory that the embedded server's user can enter: pytest's own are closed to others.

    ``memory``: in memory where there is enough, for a server that forgets everything anyway. There
    a clone takes a tenth of the time.
    """
    roomy = memory and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH
    place = Path(tempfile.mkdtemp(prefix="nightferry-test-", dir=MEMORY if roomy else None))
    place.chmod(0o711)
    try:
        yield place
    finally:
        shutil.rmtree(place)


@contextmanager
def new_database(server: str, template: str = "template0") -> Iterator[str]:
    """A clone of ``template`` on ``server``, gone at the end whoever is still connected: its DSN.

    WAL_LOG needs no checkpoint, which makes it the quicker strategy for a small database.
    """
    name = f"nightferry_test_{uuid.uuid4().hex[:12]}"
    create = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
    drop = SQL("DROP DATABASE {} WITH (FORCE)")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(create.format(Identifier(name), Identifier(template)))
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(drop.format(Identifier(name)))


@contextmanager
def alone_on(server: str) -> Iterator[None]:
    """One at a time among the processes that test on this server: migrations make its roles."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext('nightferry tests'))")
        yield
