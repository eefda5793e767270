"""Migrations: forward only, in the order of their numbers, each in a transaction of its own.

A migration waits for a lock only ``LOCK_TIMEOUT``: an idle reader must not stop the queue behind
it. It is tried again a few times; then the error says who holds the lock.
"""

import hashlib
from dataclasses import dataclass

import psycopg
import tenacity

from nightferry import sql
from nightferry.connections import OneConnection
from nightferry.db import Database, SchemaMismatch, Tx, first_line
from nightferry.errors import NightferryError

LOCK_TIMEOUT = "5s"
# What this program understands: it refuses an older schema, and a newer one whose oldest
# compatible program is newer than this.
OLDEST = "0007"
_ADVISORY_KEY = 0x6E66_6D69  # one migrator at a time


@dataclass(frozen=True)
class Migration:
    name: str
    text: str
    sha256: str


def migrations() -> list[Migration]:
    """All migrations that this program brings, in order."""
    found = []
    for path in sorted((sql.folder() / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql")):
        text = path.read_text(encoding="utf-8")
        found.append(Migration(path.stem, text, hashlib.sha256(text.encode()).hexdigest()))
    return found


def applied(tx: Tx) -> dict[str, str]:
    """The migrations that the database has: name → SHA-256 of the text that was run."""
    if tx.execute("SELECT to_regclass('schema_migration') AS made")[0].made is None:
        return {}
    rows = tx.execute("SELECT name, sha256 FROM schema_migration ORDER BY name")
    return {row.name: row.sha256 for row in rows}


def check(tx: Tx) -> None:
    """Returns if this program and the database's schema understand each other.

    Raises:
        SchemaMismatch: they do not; the text says which is older and what to do.
    """
    have = applied(tx)
    ours = [m.name for m in migrations()]
    missing = [name for name in ours if name not in have]
    unknown = [name for name in have if name not in ours]
    if missing:
        raise SchemaMismatch(
            f"the database lacks {len(missing)} migration(s), the first is {missing[0]}: "
            "run 'nf migrate'"
        )
    breaking = [name for name in unknown if "_pre_" not in name]
    if breaking:
        raise SchemaMismatch(
            f"the database is newer than this program ({breaking[-1]}): "
            "upgrade nightferry on this host"
        )


def migrate(dsn: str) -> list[str]:
    """Brings the database up to date. Returns the names of the migrations that were run.

    Raises:
        NightferryError: a landed migration was edited, or a lock could not be had.
        DatabaseAway: the server does not answer.
    """
    database = Database(dsn, actor="nf migrate", connections=OneConnection)
    try:
        done = []
        for migration in migrations():
            if _apply(database, migration):
                done.append(migration.name)
        database.run(_settle)
        return done
    finally:
        database.close()


@tenacity.retry(
    retry=tenacity.retry_if_exception(lambda error: _is_locked(error)),
    wait=tenacity.wait_random_exponential(multiplier=0.5, max=5),
    stop=tenacity.stop_after_attempt(5),
    retry_error_callback=lambda state: _raise_locked(state),
)
def _apply(database: Database, migration: Migration) -> bool:
    with database.begin() as tx:
        tx.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
        tx.execute("SELECT pg_advisory_xact_lock(%s)", (_ADVISORY_KEY,))
        tx.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration (name text PRIMARY KEY,"
            " sha256 text NOT NULL,"
            " applied timestamptz NOT NULL DEFAULT now())"
        )
        before = applied(tx).get(migration.name)
        if before is not None:
            if before != migration.sha256:
                raise NightferryError(
                    f"migration {migration.name} was changed after it was run here: "
                    "restore its text, "
                    "and put the change into a new migration"
                )
            return False
        tx.driver.execute(migration.text.encode())
        tx.execute(
            "INSERT INTO schema_migration (name, sha256) VALUES (%s, %s)",
            (migration.name, migration.sha256),
        )
    return True


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, psycopg.errors.LockNotAvailable)


def _settle(tx: Tx) -> None:
    """What a new database needs once: the months of the job history, and trust in itself."""
    tx.run("jobs.months")
    if not tx.execute("SELECT 1 FROM incarnation LIMIT 1"):
        tx.execute("SELECT trust_incarnation('a new database')")


def _raise_locked(state: tenacity.RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    raise NightferryError(
        f"a migration waited for a lock that is held: {first_line(error) if error else ''}. "
        "End the session that holds it (SELECT * FROM pg_stat_activity WHERE state <> 'idle'), "
        "and run 'nf migrate' again"
    ) from error
