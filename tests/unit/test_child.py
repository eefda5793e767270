"""A worker's channel: a batch is committed while the work goes on, one at a time, and in order."""

import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest
from nightferry.child import Task, Work
from nightferry.errors import LeaseLost, NightferryError
from nightferry.testing.sites import wait_until


class Daemon:
    """The other end: it answers when a test says so."""

    def __init__(self, line: Connection) -> None:
        self.line = line

    def hears(self) -> Any:
        assert self.line.poll(5), "nothing was said"
        return self.line.recv()

    def answers(self, value: object = None) -> None:
        self.line.send(("answer", value))


@pytest.fixture
def channel() -> Iterator[tuple[Work, Daemon]]:
    theirs, ours = Pipe()
    yield Work(ours, Task("module:function", (), {}, None)), Daemon(theirs)
    theirs.close()
    ours.close()


def later(call: Any) -> tuple[threading.Thread, list[Any]]:
    said: list[Any] = []

    def run() -> None:
        try:
            said.append(call())
        except NightferryError as error:
            said.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, said


def test_work_goes_on_while_a_batch_is_committed_and_the_next_batch_waits(
    channel: tuple[Work, Daemon],
) -> None:
    work, daemon = channel
    work.hand_over("first")
    assert daemon.hears() == ("emit", "first")
    work.progress(1)  # not held up by the commit
    second, _ = later(lambda: work.hand_over("second"))
    assert daemon.hears() == ("progress", 1, 0)
    assert not daemon.line.poll(0.2), "one batch is on its way at a time"
    daemon.answers()
    second.join(5)
    assert daemon.hears() == ("emit", "second")


def test_what_is_asked_after_a_batch_sees_it_committed(channel: tuple[Work, Daemon]) -> None:
    work, daemon = channel
    work.hand_over("batch")
    asking, said = later(lambda: work.ask("ingest.known", location="a"))
    assert daemon.hears() == ("emit", "batch")
    assert daemon.hears() == ("ask", "ingest.known", {"location": "a"})
    daemon.answers("the commit's own answer")
    daemon.answers([("row",)])
    asking.join(5)
    assert said == [[("row",)]]


@pytest.mark.parametrize("next_call", ["hand_over", "ask", "check", "end", "progress"])
def test_a_commit_that_failed_is_raised_by_the_next_word(
    channel: tuple[Work, Daemon], next_call: str
) -> None:
    work, daemon = channel
    work.hand_over("batch")
    daemon.line.send(("raise", LeaseLost("another has the place")))
    values = {"hand_over": ("more",), "ask": ("ingest.known",), "progress": (1,)}
    with pytest.raises(LeaseLost, match="another has"):
        getattr(work, next_call)(*values.get(next_call, ()))


def test_work_ends_only_when_its_last_batch_is_committed(channel: tuple[Work, Daemon]) -> None:
    work, daemon = channel
    work.hand_over("last")
    ending, said = later(work.end)
    assert daemon.hears() == ("emit", "last")
    assert not said
    assert ending.is_alive()
    daemon.answers()
    wait_until(lambda: said == [None], 5, "the end of the work")


def test_a_worker_whose_daemon_is_gone_hears_of_it(channel: tuple[Work, Daemon]) -> None:
    work, daemon = channel
    work.hand_over("batch")
    daemon.line.close()
    with pytest.raises(LeaseLost, match="is gone"):
        work.end()
