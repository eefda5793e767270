"""Hints from the real kernel and from real polling: where to look, whatever the names are.

Over 300 lines: two kinds of hints, each held to all the traps of both.
"""

import ctypes
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyinotify
import pytest
from nightferry.watch import Options, SettleRule, Slower, Source, Watcher, choose, open_hints
from nightferry.watch.events import Event
from nightferry.watch.hints import (
    Hint,
    HintSource,
    InotifyHints,
    Lost,
    NoHints,
    Overflow,
    PollingHints,
    polling,
)
from nightferry.watch.settle import Writing

from tests.unit.watch_ground import DictLedger, PlainTree, found, vanished

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture
def tree(tmp_path: Path) -> PlainTree:
    (tmp_path / "source").mkdir()
    return PlainTree(tmp_path / "source")


@pytest.fixture
def inotify(tree: PlainTree) -> Iterator[InotifyHints]:
    hints = InotifyHints(PollingHints(tree))
    watch(hints, tree, "")
    yield hints
    hints.close()


def watch(hints: HintSource, tree: PlainTree, directory: str) -> None:
    fd = tree.open_directory(directory)
    hints.watch(directory, fd)
    os.close(fd)


def collect(
    hints: HintSource, until: Callable[[list[Hint | Overflow | Lost]], bool]
) -> list[Hint | Overflow | Lost]:
    deadline = time.monotonic() + 20
    got: list[Hint | Overflow | Lost] = []
    while not until(got):
        assert time.monotonic() < deadline, f"only these hints came: {got}"
        got += hints.read(0.2)
    return got


def live(tree: PlainTree, hints: HintSource, rule: SettleRule) -> Watcher:
    source = Source("dome", tree, DictLedger(), lambda path: None, stable_inodes=True)
    return Watcher(source, hints, Options(rule))


def run(watcher: Watcher, until: Callable[[list[Event]], bool], seconds: float = 60) -> list[Event]:
    ledger = watcher._source.ledger
    assert isinstance(ledger, DictLedger)
    deadline = time.monotonic() + seconds
    told: list[Event] = []
    while not until(told):
        assert time.monotonic() < deadline, f"{len(found(told))} files were found"
        events = watcher.step(0.2)
        ledger.learn(events)
        told += events
    return told


def test_a_written_file_is_open_and_then_closed(inotify: InotifyHints, tree: PlainTree) -> None:
    (tree.top / "d1.fits").write_bytes(b"light")
    got = collect(inotify, lambda got: Hint("", "d1.fits", Writing.CLOSED) in got)
    assert got[0] == Hint("", "d1.fits", Writing.OPEN)


def test_a_file_moved_in_is_closed(inotify: InotifyHints, tree: PlainTree, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"light")
    (tmp_path / "outside").rename(tree.top / "d1.fits")
    collect(inotify, lambda got: Hint("", "d1.fits", Writing.CLOSED) in got)


def test_names_that_are_not_utf8_come_as_the_ledger_writes_them(
    inotify: InotifyHints, tree: PlainTree
) -> None:
    (tree.top / os.fsdecode(b"n\xff\n%.fits")).write_bytes(b"light")
    collect(inotify, lambda got: Hint("", "n%FF%0A%25.fits", Writing.CLOSED) in got)


def test_a_new_directory_is_a_hint_to_look_at_it(inotify: InotifyHints, tree: PlainTree) -> None:
    (tree.top / "n").mkdir()
    collect(inotify, lambda got: Hint("n", None) in got)


def test_a_directory_moved_within_the_source_is_watched_under_its_new_name(
    inotify: InotifyHints, tree: PlainTree
) -> None:
    (tree.top / "old" / "deep").mkdir(parents=True)
    watch(inotify, tree, "old")
    watch(inotify, tree, "old/deep")
    (tree.top / "old").rename(tree.top / "new")
    got = collect(inotify, lambda got: Hint("new", None) in got)
    assert Hint("old", None) in got
    (tree.top / "new" / "deep" / "unseen").write_bytes(b"")
    (tree.top / "last").write_bytes(b"")
    got = collect(inotify, lambda got: Hint("", "last", Writing.CLOSED) in got)
    assert "unseen" not in [hint.name for hint in got if isinstance(hint, Hint)]
    watch(inotify, tree, "new")
    watch(inotify, tree, "new/deep")
    (tree.top / "new" / "deep" / "d1.fits").write_bytes(b"light")
    collect(inotify, lambda got: Hint("new/deep", "d1.fits", Writing.CLOSED) in got)


def test_a_directory_made_anew_under_its_old_name_is_watched_again(
    inotify: InotifyHints, tree: PlainTree
) -> None:
    (tree.top / "n").mkdir()
    watch(inotify, tree, "n")
    (tree.top / "n").rmdir()
    (tree.top / "n").mkdir()
    watch(inotify, tree, "n")  # before a single event was read
    inotify.read(0.2)
    (tree.top / "n" / "d1.fits").write_bytes(b"light")
    collect(inotify, lambda got: Hint("n", "d1.fits", Writing.CLOSED) in got)


def test_nothing_is_watched_through_a_link(
    inotify: InotifyHints, tree: PlainTree, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tree.top / "way-out").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):
        watch(inotify, tree, "way-out")
    (tmp_path / "outside" / "secret").write_bytes(b"")
    (tree.top / "last").write_bytes(b"")
    got = collect(inotify, lambda got: Hint("", "last", Writing.CLOSED) in got)
    assert "secret" not in [hint.name for hint in got if isinstance(hint, Hint)]


def test_the_loss_of_the_top_directory_is_told(inotify: InotifyHints, tree: PlainTree) -> None:
    (tree.top / ".nightferry-location").unlink()
    tree.top.rmdir()
    collect(inotify, lambda got: any(isinstance(hint, Lost) for hint in got))


def test_a_burst_in_new_nested_directories_is_found_whole(tree: PlainTree) -> None:
    """5,000 files in directories that are made while they are watched: the first files of each
    exist before its watch does."""
    watcher = live(tree, open_hints("inotify", tree), SettleRule(1, 0.5, 0.0))
    run(watcher, lambda told: bool(told))
    nights = [f"2024/{month:02}/{day:02}" for month in range(10) for day in range(5)]
    wanted = {f"{night}/d{n:04}.fits" for night in nights for n in range(100)}

    def burst() -> None:
        for path in sorted(wanted):
            (tree.top / path).parent.mkdir(parents=True, exist_ok=True)
            (tree.top / path).write_bytes(b"light")

    writer = threading.Thread(target=burst)
    writer.start()
    told = run(watcher, lambda told: len(found(told)) >= len(wanted), 50)
    writer.join()
    watcher.close()
    assert sorted(found(told)) == sorted(wanted)


def test_a_real_overflow_of_the_kernels_queue_loses_no_file(tree: PlainTree) -> None:
    before = QUEUE.read_text()
    try:
        QUEUE.write_text("10")
    except OSError as error:
        pytest.skip(f"lowering fs.inotify.max_queued_events needs root ({error})")
    try:
        hints = open_hints("inotify", tree)  # an instance takes the limit when it is made
    finally:
        QUEUE.write_text(before)
    watcher = live(tree, hints, SettleRule(1, 0.5, 0.0))
    run(watcher, lambda told: bool(told))
    for n in range(500):
        (tree.top / f"d{n:03}.fits").write_bytes(b"light")
    told = run(watcher, lambda told: len(found(told)) >= 500)
    watcher.close()
    assert any(isinstance(e, Slower) and e.overflow for e in told)
    assert len(set(found(told))) == len(found(told)) == 500


def test_a_deletion_is_hinted_and_concluded(tree: PlainTree) -> None:
    watcher = live(tree, open_hints("inotify", tree), SettleRule(1, 0.3, 0.0))
    run(watcher, lambda told: bool(told))
    (tree.top / "d1.fits").write_bytes(b"light")
    run(watcher, lambda told: found(told) == ["d1.fits"])
    (tree.top / "d1.fits").unlink()
    run(watcher, lambda told: vanished(told) == ["d1.fits"], 10)
    watcher.close()


def test_a_directory_beyond_inotifys_limit_is_polled_and_a_person_is_told(
    tree: PlainTree, inotify: InotifyHints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is made up: lowering the real one would hit every program of this user."""
    (tree.top / "n").mkdir()
    monkeypatch.setattr(polling, "POLL_EVERY", 0.05)

    def full(path: str, mask: int, quiet: bool) -> dict[str, int]:
        ctypes.set_errno(errno.ENOSPC)
        raise pyinotify.WatchManagerError("no watch left", {})

    with monkeypatch.context() as limit:
        limit.setattr(inotify._manager, "add_watch", full)
        watch(inotify, tree, "n")
    assert "fs.inotify.max_user_watches" in inotify.notices[0]
    inotify.follow({"", "n"})
    (tree.top / "n" / "d1.fits").write_bytes(b"light")
    collect(inotify, lambda got: Hint("n", "d1.fits") in got)


def test_polling_sees_what_is_written_renamed_and_deleted(
    tree: PlainTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL_EVERY", 0.05)
    (tree.top / "n").mkdir()
    (tree.top / "n" / "old").write_bytes(b"")
    hints = PollingHints(tree)
    hints.follow({"", "n"})
    odd_name = tree.top / "n" / os.fsdecode(b"d\xff.fits")
    odd_name.write_bytes(b"light")
    collect(hints, lambda got: Hint("n", "d%FF.fits") in got)
    odd_name.write_bytes(b"more light")
    collect(hints, lambda got: Hint("n", "d%FF.fits") in got)
    odd_name.rename(tree.top / "n" / "e.fits")
    collect(hints, lambda got: Hint("n", "e.fits") in got)
    (tree.top / "n" / "e.fits").unlink()
    collect(hints, lambda got: Hint("n", "e.fits") in got)
    (tree.top / "m").mkdir()
    collect(hints, lambda got: Hint("m", None) in got)


def test_polling_leaves_directories_that_are_not_todays(
    tree: PlainTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL_EVERY", 0.05)
    (tree.top / "n").mkdir()
    hints = PollingHints(tree)
    hints.follow({"", "n"})
    hints.follow({""})
    (tree.top / "n" / "d1.fits").write_bytes(b"light")
    (tree.top / "last").write_bytes(b"light")
    got = collect(hints, lambda got: Hint("", "last") in got)
    assert Hint("n", "d1.fits") not in got


def test_a_polled_directory_that_goes_is_hinted_and_left(
    tree: PlainTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL_EVERY", 0.05)
    (tree.top / "n").mkdir()
    hints = PollingHints(tree)
    hints.follow({"n", "never-was"})
    (tree.top / "n").rmdir()
    collect(hints, lambda got: Hint("n", None) in got)


@pytest.mark.parametrize(
    ("network", "override", "choice"),
    [
        (False, None, "inotify"),
        (True, None, "polling"),
        (True, "inotify", "inotify"),
        (False, "polling", "polling"),
        (False, "none", "none"),
    ],
)
def test_the_source_of_hints_follows_the_file_system_unless_told_otherwise(
    network: bool, override: str | None, choice: str
) -> None:
    assert choose(network, override) == choice


def test_an_unknown_source_of_hints_is_refused() -> None:
    with pytest.raises(ValueError, match="none of inotify, polling, none"):
        choose(False, "inotfy")


def test_where_no_inotify_can_be_had_todays_directories_are_polled(
    tree: PlainTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(polling: PollingHints) -> InotifyHints:
        raise OSError("Cannot initialize new instance of inotify, Errno=EMFILE")

    monkeypatch.setattr("nightferry.watch.hints.InotifyHints", refuse)
    hints = open_hints("inotify", tree)
    assert isinstance(hints, PollingHints)
    assert "polled instead" in hints.notices[0]


def test_with_no_hints_at_all_files_are_found_by_sweeps(tree: PlainTree) -> None:
    hints = open_hints("none", tree)
    assert isinstance(hints, NoHints)
    watcher = live(tree, hints, SettleRule(2, 0.2, 0.2))
    (tree.top / "d1.fits").write_bytes(b"light")
    run(watcher, lambda told: found(told) == ["d1.fits"])
