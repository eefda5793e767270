"""The watchdog's food: a worker past its deadline is ended, or the daemon is not fed any more."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from nightferry import config, workshop
from nightferry.daemon import Loop
from nightferry.db import Database, DatabaseAway
from nightferry.errors import Unavailable
from nightferryd import archive


@dataclass
class Work:
    """A duty with a minute's patience."""

    subject: str = "a package"
    patience: timedelta = timedelta(minutes=1)
    ended_by: list[Exception] = field(default_factory=list)

    def failed(self, _: object, error: Exception) -> None:
        self.ended_by.append(error)


class Silent:
    """A worker that began just now, and says nothing."""

    def __init__(self, assignment: Work) -> None:
        self.assignment: Work | None = assignment
        self.inbox: deque[Any] = deque()
        self.last_progress = time.monotonic()
        self.killed = False

    def fileno(self) -> int:
        return -1

    def listen(self) -> None:
        """It says nothing."""

    def kill(self) -> None:
        self.killed = True

    def gone(self) -> bool:
        return False  # it hangs in the kernel


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """So many seconds pass, for the workshop."""
    real, past = time.monotonic, 0.0

    def pass_by(seconds: float) -> None:
        nonlocal past
        past += seconds

    monkeypatch.setattr(workshop.time, "monotonic", lambda: real() + past)
    return pass_by


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """An archive daemon that is at work at one place; what it says to systemd is ``loop.told``."""
    file = tmp_path / "nightferry.yaml"
    file.write_text(f"site: center\ndatabase: postgresql://nobody@/none?host={tmp_path}\n")
    loop = Loop(archive.daemon, config.load(file), name="", once=False)
    loop.workshop.workers["archive-a"] = Silent(Work())  # type: ignore[assignment]
    loop.told = told = []  # type: ignore[attr-defined]
    monkeypatch.setattr(loop.attention, "tell_systemd", lambda *words: told.extend(words))
    return loop


def is_fed(loop: Loop) -> bool:
    loop.told.clear()  # type: ignore[attr-defined]
    loop._wait(0)
    return "WATCHDOG=1" in loop.told  # type: ignore[attr-defined]


def test_the_watchdog_is_fed_until_work_is_past_its_deadline(
    loop: Loop, later: Callable[[float], None]
) -> None:
    assert is_fed(loop)
    later(59)
    assert is_fed(loop)
    later(2)
    assert not is_fed(loop)


def test_work_that_waits_for_our_answer_is_not_late(
    loop: Loop, later: Callable[[float], None]
) -> None:
    worker = loop.workshop.workers["archive-a"]
    worker.inbox.append(("emit", None))
    later(3600)
    assert is_fed(loop)
    worker.inbox.clear()
    assert not is_fed(loop)


def test_what_is_late_is_ended_also_while_the_database_is_away(
    loop: Loop, later: Callable[[float], None]
) -> None:
    worker = loop.workshop.workers["archive-a"]
    later(61)
    loop.workshop.listen()
    assert worker.killed  # type: ignore[attr-defined]
    assert is_fed(loop), "the other places are served"
    assert loop.workshop.unended() == ["archive-a"]
    assert not loop.workshop.is_free("archive-a"), "another would hang as well"


def test_what_is_late_is_ended_and_its_place_is_said_to_be_silent(
    loop: Loop, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = loop.workshop.workers["archive-a"]
    duty = worker.assignment
    monkeypatch.setattr(loop.workshop.db, "run", lambda work: work(None))
    loop.workshop.hear()
    assert not worker.killed  # type: ignore[attr-defined]
    later(61)
    loop.workshop.hear()
    assert worker.killed  # type: ignore[attr-defined]
    (error,) = duty.ended_by
    assert isinstance(error, Unavailable)
    assert str(error) == "archive-a: no answer for 60 s"


@pytest.mark.parametrize("answer", [(60.0, 0.05), (0.05, 60.0)])
def test_a_database_call_that_hangs_behind_a_lock_has_an_end_and_is_told(
    database: str, answer: tuple[float, float]
) -> None:
    longest = timedelta(seconds=answer[0]), timedelta(seconds=answer[1])
    waiting = Database(database, answer=longest)
    try:
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE heartbeat")
            with pytest.raises(DatabaseAway, match=r"answers, and not in time: cancel.*who holds"):
                waiting.run(lambda tx: tx.execute("SELECT FROM heartbeat"))
        assert waiting.run(lambda tx: tx.execute("SELECT FROM heartbeat")) == []
    finally:
        waiting.close()
