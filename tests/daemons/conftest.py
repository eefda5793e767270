"""Two sites for each test of the daemons."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons.ground import Ground, ground
from tests.object_server import Server, seaweed


@pytest.fixture
def two_sites(database: str, tmp_path: Path) -> Iterator[Ground]:
    """A dome, and a data centre with two archives; deletion is enabled and nothing waits."""
    made = ground(tmp_path, database)
    yield made
    made.db.close()


@pytest.fixture(scope="module")
def objects() -> Iterator[Server]:
    """A real object store for archives in buckets."""
    with seaweed() as started:
        yield started
