"""A database of its own for each test: a clone of one that all migrations were run on."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.sql import SQL, Identifier


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
