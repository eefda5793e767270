"""What the families of the fault suite share: the scenes.

For who writes a family, in a file ``test_<family>.py`` of this folder:

- The first paragraph of the module's docstring is the family's promise, and each test's name is a
  sentence of it. ``bin/test --faults`` makes docs/promises.md of both; nothing is typed there.
- ``figure("overflow: 60,000 files found after", "41 s")``, a fixture, prints a figure, and puts it
  on that page beside the family of the test that gave it.
- ``@pytest.mark.whole`` marks the long form of a test: ``bin/test`` leaves it out, and
  ``bin/test --faults`` and ``bin/test -m whole FILE`` run it.
- ``course`` (for the session) runs scenes with faults: see course.py.

Results are lines of JSON in the folder that NIGHTFERRY_FAULTS_RUN names; without it there are none.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import results
from tests.faults.beside import turn
from tests.faults.course import Course
from tests.faults.scenes import scenery


@pytest.fixture(scope="session")
def course(
    server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Course]:
    folder: Path = tmp_path_factory.mktemp("faults")
    with scenery(server, template, folder) as made:
        yield Course(made)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who prepares scenes prepares them for others too: else every process has to, for a test or two.
    In a whole run the longest are begun first."""
    for item in items:
        if "course" in getattr(item, "fixturenames", ()):
            kills = item.path.name == "test_kills.py"
            item.add_marker(pytest.mark.xdist_group("kills" if kills else "scenes"))
    if results.folder() is not None:
        items.sort(key=lambda i: turn(i.name, i.get_closest_marker("whole") is not None))
