"""What tests stand on: a real PostgreSQL, a place on disk for a server, a night of real frames.

The server is the embedded one, or the one that NIGHTFERRY_TEST_DSN names, whose role must be
allowed to create databases and roles. Each pytest-xdist worker has an embedded server of its own:
it starts in a second, and no worker waits for another to end.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from nightferry.embedded import Embedded

from tests.database import alone_on, new_database, open_directory
from tests.faults.keeping import figure, pytest_runtest_makereport

__all__ = ["figure", "pytest_runtest_makereport"]  # pytest finds them here


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory that the embedded server's user can enter."""
    with open_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The DSN of a server that forgets everything at a power cut."""
    if given := os.environ.get("NIGHTFERRY_TEST_DSN"):
        yield given
        return
    with open_directory(memory=True) as directory, Embedded(directory, durable=False) as server:
        yield server.dsn


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """The name of a database with all migrations run and no rows: what each test clones."""
    from nightferry.migrate import migrate

    with new_database(server) as dsn:
        with alone_on(server):
            migrate(dsn)
        yield urlsplit(dsn).path[1:]


@pytest.fixture
def database(server: str, template: str) -> Iterator[str]:
    """The DSN of this test's own ledger: migrated, empty, dropped afterwards."""
    with new_database(server, template) as dsn:
        yield dsn


@pytest.fixture
def empty_database(server: str) -> Iterator[str]:
    """The DSN of a database without any table, for tests of the migrations themselves."""
    with new_database(server) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def night_data() -> Path:
    """The folder of real frames, laid out as in its own README."""
    given = os.environ.get("NIGHTFERRY_TEST_DATA")
    if not given:
        pytest.skip("NIGHTFERRY_TEST_DATA names no folder of real frames")
    return Path(given)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts what was skipped, by reason; with what bin/test could not do, or saw fail, before."""
    reasons = Counter(
        re.sub(r"^Skipped: ", "", report.longrepr[2])
        for report in terminalreporter.stats.get("skipped", [])
    )
    for python in os.environ.get("NIGHTFERRY_TEST_WITHOUT", "").splitlines():
        reasons[python] += 1
    if reasons:
        terminalreporter.section("skipped, by reason")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:5}  {reason}")
    if failed := os.environ.get("NIGHTFERRY_TEST_FAILED"):
        terminalreporter.section("failed before the tests")
        terminalreporter.write_line(failed)
