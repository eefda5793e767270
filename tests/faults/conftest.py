"""What the families of the fault suite share: the scenes, and where a whole run's results go.

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

import inspect
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.faults import results
from tests.faults.course import Course
from tests.faults.scenes import scenery

Figure = Callable[[str, object], None]


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Prints a figure that this test has measured, and keeps it for the page of a whole run."""

    def keep(name: str, value: object) -> None:
        print(f"{name} {value}")
        file = request.node.location[0]
        results.keep(results.folder(), "figure", file=file, name=name, value=str(value))

    return keep


@pytest.fixture(scope="session")
def course(
    server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Course]:
    folder: Path = tmp_path_factory.mktemp("faults")
    with scenery(server, template, folder) as made:
        yield Course(made)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps how a test of this folder ended. It runs in the process that ran the test."""
    report = yield
    if report.when == "call" or report.outcome != "passed":
        module = getattr(item, "module", None)
        results.keep(
            results.folder(),
            "test",
            file=item.location[0],
            test=getattr(item, "originalname", item.name),
            case=item.name,
            promise=(inspect.getdoc(module) or "").partition("\n\n")[0],
            when=report.when,
            outcome=report.outcome,
            why=report.longrepr[2] if isinstance(report.longrepr, tuple) else "",
            seconds=round(report.duration, 1),
        )
    return report
