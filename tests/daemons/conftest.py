"""Two sites for each test of the daemons."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons.ground import Ground, ground


@pytest.fixture
def two_sites(database: str, tmp_path: Path) -> Iterator[Ground]:
    """A dome, and a data centre with two archives; deletion is enabled and nothing waits."""
    made = ground(tmp_path, database)
    yield made
    made.db.close()
