"""What a whole run of the fault suite keeps of each test: how it ended, and the figures it measured.

Every test has these, for promises are kept by tests outside this folder too (beside.py); in a run
that nobody keeps they do nothing.
"""

import inspect
from collections.abc import Callable, Generator

import pytest

from tests.faults import results

Figure = Callable[[str, object], None]


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Prints a figure that this test has measured, and keeps it for the page of a whole run."""

    def keep(name: str, value: object) -> None:
        print(f"{name} {value}")
        file = request.node.location[0]
        results.keep(results.folder(), "figure", file=file, name=name, value=str(value))

    return keep


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps how a test ended. It runs in the process that ran the test."""
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
