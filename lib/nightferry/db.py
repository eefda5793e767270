"""The one way to the database: connections, transactions that run named statements, and retry.

A transaction is short. None is open while files are read or written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

import psycopg
import tenacity
from psycopg import sql
from psycopg.types.json import Jsonb

from nightferry.connections import Connections, Driver, pool
from nightferry.errors import ConfigError, NightferryError
from nightferry.sql import statement

T = TypeVar("T")
json = Jsonb

CONNECT_SECONDS = 5
# A transaction that is forgotten open holds back the cleaning of every table.
IDLE_IN_TRANSACTION = "60s"
# How long a daemon waits for one answer, and for a lock that somebody holds: it tells of it then,
# and tries again. Shorter than WatchdogSec= of the units.
ANSWER = (timedelta(minutes=4), timedelta(seconds=30))
_TOOK_TOO_LONG = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)

REFUSED = psycopg.Error  # what a statement's own failure raises


class DatabaseAway(NightferryError):
    """The database does not answer, or went away in the middle. What was not committed is not
    there; what was, may be: whoever retries must be able to do it twice."""


class Refused(DatabaseAway):
    """The database asks for a password that we don't have, or refuses ours."""


class SchemaMismatch(NightferryError):
    """The database's schema is older or newer than this program understands."""


class Row(tuple[Any, ...]):
    """One row: a tuple whose values have their columns' names as well."""

    __slots__ = ()
    _names: tuple[str, ...] = ()

    @property
    def _mapping(self) -> dict[str, Any]:
        """The values by their names."""
        return dict(zip(self._names, self, strict=True))

    def __getattr__(self, name: str) -> Any:  # only for names that no column has
        raise AttributeError(f"the row has no column {name!r}: {', '.join(self._names)}")


@cache
def _row_class(names: tuple[str, ...]) -> type[Row]:
    columns = {name: property(itemgetter(i)) for i, name in enumerate(names)}
    return type("Row", (Row,), {"__slots__": (), "_names": names, **columns})


class Tx:
    """One open transaction, on psycopg's own connection."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def run(self, name: str, /, **values: object) -> list[Row]:
        """Runs the statement ``file.name`` and returns its rows (none if it has no result)."""
        return _rows(self.driver.execute(statement(name), values))

    def one(self, name: str, /, **values: object) -> Row | None:
        """The statement's first row, or None."""
        rows = self.run(name, **values)
        return rows[0] if rows else None

    def execute(self, text: str, values: Mapping[str, object] | Sequence[object] = ()) -> list[Row]:
        """For what is said once, and not worth a name: tests, migrations, a person's command."""
        return _rows(self.driver.execute(text.encode(), values))

    @contextmanager
    def refusable(self) -> Iterator[None]:
        """A part that may be refused without the rest: undone alone when it fails."""
        with self.driver.transaction():
            yield


def _rows(cursor: "psycopg.Cursor[Any]") -> list[Row]:
    if cursor.description is None:
        return []
    made = _row_class(tuple(column.name for column in cursor.description))
    return [made(row) for row in cursor.fetchall()]


class Database:
    """One database, reached as ``actor`` at ``site``; safe to make before the server is up."""

    def __init__(
        self,
        dsn: str | Callable[[], str],
        *,
        actor: str = "nf",
        site: str = "here",
        host: str = "here",
        connections: Callable[[Callable[[], Driver]], Connections] = pool,
        answer: tuple[timedelta, timedelta] = (timedelta(), timedelta()),  # as ANSWER; 0: for ever
    ) -> None:
        self._dsn = dsn
        self._actor, self._site, self._host = actor, site, host
        self._answer = answer
        self._connections = connections(self._connect)

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

    def _connect(self) -> Driver:
        try:
            connection = psycopg.connect(
                self.dsn,
                autocommit=True,  # begin() says when a transaction begins
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
        if any(self._answer):
            connection.execute(
                "SELECT set_config('statement_timeout', %s, false),"
                " set_config('lock_timeout', %s, false)",
                [f"{longest.total_seconds() * 1000:.0f}ms" for longest in self._answer],
            )
        return connection

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A transaction: committed at the end of the block, rolled back by any exception.

        Raises:
            DatabaseAway: the server did not answer, or the connection broke.
        """
        with self._lent() as driver, driver.transaction():
            yield Tx(driver)

    @contextmanager
    def _lent(self) -> Iterator[Driver]:
        driver: Driver | None = None
        try:
            lent = self._connections.connect()
            driver = lent.driver_connection
            assert driver is not None
            try:
                yield driver
            finally:
                if driver.closed:  # and so are, most likely, those beside it
                    lent.invalidate()
                    self._connections.dispose()
                else:
                    lent.close()
        except psycopg.Error as error:
            if _says_away(error) or (driver is not None and driver.closed):
                raise DatabaseAway(_why_away(error)) from error
            if any(self._answer) and isinstance(error, _TOOK_TOO_LONG):
                raise DatabaseAway(
                    f"the database answers, and not in time: {first_line(error)}. See who holds a "
                    "lock: SELECT * FROM pg_stat_activity WHERE state <> 'idle'"
                ) from error
            raise

    def run(self, work: Callable[[Tx], T]) -> T:
        """``work`` in a transaction of its own; again when two got in each other's way.

        Raises:
            DatabaseAway: as :meth:`begin`; it is for the caller to wait.
        """
        try:
            with self.begin() as tx:
                return work(tx)
        except psycopg.Error as error:
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
        with self._lent() as driver:
            return work(Tx(driver))

    def close(self) -> None:
        self._connections.dispose()


def first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


def _why_away(error: BaseException) -> str:
    if getattr(error, "sqlstate", None) == "53100":
        return f"the database's disk is full, make room there: {first_line(error)}"
    return f"the database does not answer: {first_line(error)}"


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
    return not (is_collision(error) or _says_away(error))


def is_collision(error: BaseException) -> bool:
    """True for a serialization failure or a deadlock: the loser may try again at once."""
    return getattr(error, "sqlstate", None) in ("40001", "40P01")


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
