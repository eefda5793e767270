"""The one way to the database: an engine, transactions that run named statements, and retry.

A transaction is short. None is open while files are read or written.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
import tenacity
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy.engine.result import result_tuple
from sqlalchemy.pool import QueuePool

from nightferry.errors import ConfigError, NightferryError
from nightferry.sql import statement

T = TypeVar("T")
Row = sa.Row[Any]
json = Jsonb

CONNECT_SECONDS = 5
# A transaction that is forgotten open holds back the cleaning of every table.
IDLE_IN_TRANSACTION = "60s"


# What a statement's own failure raises: the engine's error, or from COPY the driver's.
REFUSED = (sa.exc.DBAPIError, psycopg.Error)


class DatabaseAway(NightferryError):
    """The database does not answer, or went away in the middle. What was not committed is not
    there; what was, may be: whoever retries must be able to do it twice."""


class Refused(DatabaseAway):
    """The database asks for a password that we don't have, or refuses ours."""


class SchemaMismatch(NightferryError):
    """The database's schema is older or newer than this program understands."""


@cache
def _row_maker(columns: tuple[str, ...]) -> Callable[[Iterable[Any]], Row]:
    return result_tuple(columns)


class Tx:
    """One open transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def run(self, name: str, /, **values: object) -> list[Row]:
        """Runs the statement ``file.name`` and returns its rows (none if it has no result).

        By the driver: a named statement needs nothing of the engine but its transaction, and the
        way through it would double what a short statement costs.
        """
        driver = self.driver
        try:
            cursor = driver.execute(statement(name), values)
            if cursor.description is None:
                return []
            make = _row_maker(tuple(column.name for column in cursor.description))
            return [make(row) for row in cursor.fetchall()]
        except psycopg.Error as error:
            if driver.closed:
                self.connection.invalidate(error)
            raise sa.exc.DBAPIError.instance(
                name, None, error, psycopg.Error, connection_invalidated=driver.closed
            ) from error

    def one(self, name: str, /, **values: object) -> Row | None:
        """The statement's first row, or None."""
        rows = self.run(name, **values)
        return rows[0] if rows else None

    def execute(self, text: str, values: Mapping[str, object] | Sequence[object] = ()) -> list[Row]:
        """For what is said once, and not worth a name: tests, migrations, a person's command."""
        result = self.connection.exec_driver_sql(text, values or None)
        return list(result.all()) if result.returns_rows else []

    def select(self, query: sa.Executable) -> list[Row]:
        """Runs a composed query over ``tables.py``."""
        return list(self.connection.execute(query).all())

    @contextmanager
    def refusable(self) -> Iterator[None]:
        """A part that may be refused without the rest: undone alone when it fails."""
        with self.connection.begin_nested():
            yield

    @property
    def driver(self) -> "psycopg.Connection[Any]":
        """psycopg's own connection, inside this transaction: for COPY."""
        driver = self.connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver


class Database:
    """One database, reached as ``actor`` at ``site``; safe to make before the server is up."""

    def __init__(
        self,
        dsn: str | Callable[[], str],
        *,
        actor: str = "nf",
        site: str = "here",
        host: str = "here",
    ) -> None:
        self._dsn = dsn
        self._actor, self._site, self._host = actor, site, host
        self.engine = sa.create_engine(
            "postgresql+psycopg://", creator=self._connect, poolclass=QueuePool, pool_size=2
        )
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def dsn(self) -> str:
        """Where it is now: an embedded server may come back at another place.

        Raises:
            DatabaseAway: it is not running.
        """
        if isinstance(self._dsn, str):
            return self._dsn
        try:
            return self._dsn()
        except ConfigError as error:
            raise DatabaseAway(str(error)) from error

    def _connect(self) -> "psycopg.Connection[Any]":
        try:
            connection = psycopg.connect(
                self.dsn,
                connect_timeout=CONNECT_SECONDS,
                application_name=self._actor[:63],
                keepalives_idle=20,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=20_000,
            )
        except psycopg.OperationalError as error:
            if is_password_refused(error):
                raise Refused(f"the database refuses us: {first_line(error)}") from error
            raise
        connection.execute(
            "SELECT set_config('nightferry.actor', %s, false), "
            "set_config('nightferry.site', %s, false), set_config('nightferry.host', %s, false),"
            " set_config('TimeZone', 'UTC', false),"
            " set_config('jit', 'off', false),"  # compiling costs more than any statement of ours
            " set_config('idle_in_transaction_session_timeout', %s, false)",
            (self._actor, self._site, self._host, IDLE_IN_TRANSACTION),
        )
        connection.commit()
        return connection

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A transaction: committed at the end of the block, rolled back by any exception.

        Raises:
            DatabaseAway: the server did not answer, or the connection broke.
        """
        with self._answering(), self.engine.begin() as connection:
            yield Tx(connection)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            if is_away(error):
                raise DatabaseAway(_why_away(error.orig or error)) from error
            raise
        except psycopg.OperationalError as error:  # from connecting, or from the driver itself
            if not _says_away(error):
                raise
            raise DatabaseAway(_why_away(error)) from error

    def run(self, work: Callable[[Tx], T]) -> T:
        """``work`` in a transaction of its own; again when two got in each other's way.

        Raises:
            DatabaseAway: as :meth:`begin`; it is for the caller to wait.
        """
        try:
            with self.begin() as tx:
                return work(tx)
        except sa.exc.DBAPIError as error:
            if not is_collision(error):
                raise
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_collision),
            wait=tenacity.wait_random_exponential(multiplier=0.02, max=1),
            stop=tenacity.stop_after_attempt(7),
            reraise=True,
        ):
            with attempt, self.begin() as tx:
                return work(tx)
        raise AssertionError("unreachable: tenacity re-raises")

    def singly(self, work: Callable[[Tx], T]) -> T:
        """``work`` with each of its statements a transaction of its own: one way to the server and
        back each, and what was done before one that fails stays done.

        Raises:
            DatabaseAway: as :meth:`begin`.
        """
        with self._answering(), self._autocommit.connect() as connection:
            return work(Tx(connection))

    def close(self) -> None:
        self.engine.dispose()


def first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().split("\n")[0]


def _why_away(error: BaseException) -> str:
    if getattr(error, "sqlstate", None) == "53100":
        return f"the database's disk is full, make room there: {first_line(error)}"
    return f"the database does not answer: {first_line(error)}"


def is_away(error: sa.exc.DBAPIError) -> bool:
    """True for a lost or refused connection; False for an error in a statement."""
    return error.connection_invalidated or _says_away(error.orig)


def is_password_refused(error: psycopg.OperationalError) -> bool:
    """True if no other password is known to be the only cure. libpq gives no code for what a server
    says before a session is open; in another language than English it is a database that is away.
    """
    asked = error.pgconn
    if asked is None or not asked.used_password:
        return False
    return asked.needs_password or "password authentication failed" in str(error)


def _says_away(error: BaseException | None) -> bool:
    state = getattr(error, "sqlstate", None)
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    # 08: connection; 57P: shutdown, crash, starting up; 53: no connection, memory or disk left to
    # it; 25006: a standby that was not promoted yet; 58030: its disk fails.
    return state.startswith(("08", "57P", "53")) or state in ("25006", "58030")


def is_refusal(error: BaseException) -> bool:
    """True for a statement's own failure: trying again, or waiting, would not help."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return not (is_collision(error) or _says_away(cause))


def is_collision(error: BaseException) -> bool:
    """True for a serialization failure or a deadlock: the loser may try again at once."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error  # COPY is the driver's
    return getattr(cause, "sqlstate", None) in ("40001", "40P01")


def copy_rows(tx: Tx, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Many rows in one COPY, inside the transaction."""
    if not rows:
        return
    target = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with tx.driver.cursor() as cursor, cursor.copy(target) as out:
        for row in rows:
            out.write_row(row)
