"""An archive that is away for an hour, with thousands of packages waiting for it, costs none of them an
attempt: one breaker says so, one probe at a time asks, and all is archived unaided when it is back.

The hour is made short by settings: it has as many probes as an hour has.
"""

import os
import signal
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from nightferry.marker import MARKER_FILE
from nightferry.testing.sites import wait_until

from tests.daemons.ground import ground
from tests.faults.keeping import Figure
from tests.faults.stage import Stage
from tests.typed import Nf

pytestmark = pytest.mark.slow
BEFORE = (
    ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"), ("center", "verify"),
)  # fmt: skip
DAEMONS = (("archive", "first"), ("archive", "second"), ("verify", "first"))
PROBE = 0.25  # seconds instead of 60
WAITING = "SELECT count(*) FROM job WHERE kind = 'archive' AND place = 'archive-b'"
MORE = "CREATE TABLE more (path text, sha256 text, size bigint)"
COPY_MORE = "COPY more FROM STDIN"
# Packages like the only one that there is, with bytes of their own.
FILL = (
    """INSERT INTO raw_data_package SELECT (jsonb_populate_record(p, jsonb_build_object(
         'id', new_id(), 'name', more.path, 'path', more.path, 'sha256', more.sha256, 'size', more.size))).*
       FROM raw_data_package p, more""",
    """INSERT INTO physical_copy (package, location, path, state, sha256, size)
       SELECT id, 'center-buffer', path, 'present', sha256, size FROM raw_data_package JOIN more USING (path, sha256, size)""",
    """INSERT INTO verification (copy, began, outcome, sha256, size, how, host)
       SELECT id, now(), 'good', sha256, size, 'cache', 'center' FROM physical_copy WHERE path IN (SELECT path FROM more)""",
    "UPDATE data_location SET active = false WHERE name = 'archive-a'",  # one is enough here
    "ANALYZE",
)  # fmt: skip
# What is done about the archive is written down, when it is done.
WATCH = (
    "CREATE TABLE claimed (subject text)",
    "CREATE TABLE probed (at timestamptz)",
    """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
         IF TG_TABLE_NAME = 'job' THEN INSERT INTO claimed VALUES (NEW.subject);
         ELSE INSERT INTO probed VALUES (NEW.probed); END IF;
         RETURN NULL;
       END $$""",
    """CREATE TRIGGER note AFTER UPDATE ON job FOR EACH ROW
       WHEN (NEW.state = 'running' AND OLD.state <> 'running' AND NEW.place = 'archive-b' AND NEW.kind = 'archive') EXECUTE FUNCTION note()""",
    """CREATE TRIGGER note AFTER UPDATE ON breaker FOR EACH ROW
       WHEN (NEW.probed IS DISTINCT FROM OLD.probed AND NEW.name = 'archive-b') EXECUTE FUNCTION note()""",
)  # fmt: skip


def wait_at_the_buffer(dsn: str, buffer: Path, count: int) -> None:
    """So many packages more lie at the data centre's buffer, archived nowhere."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(MORE.encode())
        with cursor.copy(COPY_MORE.encode()) as rows:
            for path, content in packages(count):
                file = buffer / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                rows.write_row((path, sha256(content).hexdigest(), len(content)))
        for statement in (*FILL, *WATCH):
            cursor.execute(statement.encode())


def packages(count: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        yield f"simulated/{number % 100:02d}/more-{number:05d}.tar", b"package %d" % number


@pytest.mark.parametrize(
    ("count", "probes"), [(200, 12), pytest.param(10_000, 60, marks=pytest.mark.whole)]
)
def test_an_archive_that_is_away_costs_no_attempt_and_is_caught_up_with_unaided(
    database: str, tmp_path: Path, figure: Figure, count: int, probes: int
) -> None:
    site = ground(tmp_path, database, keep=None)
    config = site.sites.config("center")
    host = yaml.safe_load(config.read_text())
    host["timing"] |= {"probe": f"{PROBE} s", "put_off": "0.1 s", "lease": "60 s"}
    if count > 1000:  # to ask the whole ledger for missing work takes a while then
        host["timing"] |= {"tick": "0.5 s", "wanted": "15 s"}
    config.write_text(yaml.safe_dump(host))
    site.frames(1)
    for where, daemon in BEFORE:
        site.once(where, daemon)
    marker = site.sites.path("archive-b") / MARKER_FILE
    away = marker.with_name("away")
    marker.rename(away)
    wait_at_the_buffer(database, site.sites.path("center-buffer"), count)
    with Stage(database) as stage:
        pids = [
            stage.start([daemon, "--config", str(config), "--name", name], tmp_path / f"log-{daemon}-{name}")
            for daemon, name in DAEMONS
        ]  # fmt: skip
        try:
            broken = "SELECT count(*) FROM breaker WHERE name = 'archive-b' AND state = 'open'"
            wait_until(lambda: site.one(broken), 60, "an open breaker")
            wait_until(lambda: site.one(WAITING) == count + 1, 60, "a job for every package")
            claimed = site.one("SELECT count(*) FROM claimed")
            assert claimed <= 3 + len(DAEMONS), "three fail; what was claimed meanwhile may as well"
            said = Nf(database, tmp_path)("status")
            assert "no work is sent to: archive-b since" in said.words
            assert said.code == 1
            wait_until(lambda: site.one("SELECT count(*) FROM probed") >= probes, 120, "the probes")
            assert one_at_a_time(site.ask("SELECT at FROM probed ORDER BY at"))
            assert site.one("SELECT count(*) FROM claimed") == claimed, "no job asks if it is back"
            assert site.one("SELECT max(attempts) FROM job") == 0
            away.rename(marker)
            began = time.monotonic()
            arrived = "SELECT count(*) FROM physical_copy WHERE location = 'archive-b' AND state = 'present'"
            wait_until(lambda: site.one(arrived) == count + 1, 120 + count / 4, "all of them")
            took = time.monotonic() - began
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGTERM)
            for pid in pids:
                stage.wait(pid, 20)
    assert site.one("SELECT state::text FROM breaker WHERE name = 'archive-b'") == "closed"
    assert site.one("SELECT max(attempts) FROM job_done WHERE kind = 'archive'") == 1
    assert not site.ask("SELECT FROM blocked")
    figure(
        f"destination away: {count:,} packages archived after its return within", f"{took:.0f} s"
    )
    site.db.close()


def one_at_a_time(probed: list[Any]) -> bool:
    """So many answers as one of three daemons gets; the last of them may have been late."""
    seconds = (probed[-1].at - probed[0].at).total_seconds()
    return len(probed) <= seconds / PROBE + 3
