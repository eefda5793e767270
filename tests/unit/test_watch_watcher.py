"""A source under watch: what comes, changes and goes is told, and nothing else is.

Over 300 lines: each way in which a tree of files can change under the eyes of a watcher.
"""

import os
import socket
from pathlib import Path

import pytest
from nightferry.errors import Unavailable, Unreadable
from nightferry.watch import (
    AtRest,
    Found,
    Odd,
    SettleRule,
    Signature,
    Slower,
    UnreadableDirectory,
    watcher,
)
from nightferry.watch.hints import Hint, Lost, Overflow
from nightferry.watch.settle import Writing

from tests.unit.watch_ground import (
    MARKER,
    DictLedger,
    Dome,
    changed,
    found,
    odd,
    sweeps,
    vanished,
)


def test_files_that_were_there_before_the_start_are_found(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("2024/0512/d1.fits")
    dome.write("2024/0512/deep/er/d2.fits")
    dome.write("d3.fits")
    assert sorted(found(dome.run(30))) == [
        "2024/0512/d1.fits",
        "2024/0512/deep/er/d2.fits",
        "d3.fits",
    ]


def test_each_file_is_told_once(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("n/d1.fits")
    dome.run(7 * 3600)
    assert found(dome.events) == ["n/d1.fits"]


def test_a_file_the_ledger_is_slow_to_learn_is_told_once_until_the_next_full_sweep(
    tmp_path: Path,
) -> None:
    dome = Dome(tmp_path, learns=False)
    dome.write("n/d1.fits")
    assert found(dome.run(3 * 3600)) == ["n/d1.fits"]
    assert found(dome.run(4 * 3600)) == ["n/d1.fits"]


def test_a_directory_comes_to_rest_when_the_ledger_knows_all_of_it(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("n/d1.fits")
    resting = [e.directory for e in dome.run(120) if isinstance(e, AtRest)]
    assert sorted(resting) == ["", "n"]
    dome.ledger.asked_for_all = 0
    assert not [e for e in dome.run(300) if isinstance(e, AtRest)]
    assert dome.ledger.asked_for_all == 0


def test_a_file_that_came_and_went_leaves_no_trace_of_rest(tmp_path: Path) -> None:
    """The directory is as it was when it last rested, but a file of it is in the ledger now."""
    dome = Dome(tmp_path, SettleRule(looks=1, quiet=0))
    (tmp_path / "n").mkdir()
    dome.run(60)
    path = dome.write("n/d1.fits")
    dome.hints.next = [Hint("n", "d1.fits", Writing.CLOSED)]
    assert found(dome.run(1)) == ["n/d1.fits"]
    path.unlink()
    dome.hints.next = [Hint("n", "d1.fits")]
    assert vanished(dome.run(30)) == ["n/d1.fits"]


def test_nothing_rests_while_the_ledger_has_not_answered(tmp_path: Path) -> None:
    """The file is gone before the ledger has it; the ledger may still be writing it down."""
    dome = Dome(tmp_path, learns=False)
    path = dome.write("n/d1.fits")
    assert found(dome.run(20)) == ["n/d1.fits"]
    path.unlink()
    assert "n" not in [e.directory for e in dome.run(600) if isinstance(e, AtRest)]
    dome.watcher.again("n/d1.fits")
    assert "n" in [e.directory for e in dome.run(600) if isinstance(e, AtRest)]


def test_an_unsettled_file_keeps_its_directory_from_resting(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("n/d1.fits.part")
    assert "n" not in [e.directory for e in dome.run(600) if isinstance(e, AtRest)]


def test_without_any_hint_new_files_are_found_within_todays_sweep(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("2024/0512/d1.fits")
    dome.run(120)
    dome.write("2024/0512/d2.fits")
    dome.write("2024/0513/d3.fits")
    assert sorted(found(dome.run(90))) == ["2024/0512/d2.fits", "2024/0513/d3.fits"]


def test_where_nothing_happened_for_two_nights_the_full_sweep_still_looks(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    old = dome.write("2019/a/d1.fits")
    dome.clock.time += 10**10  # the directory's ctime is long ago now
    dome.run(120)
    dome.run(3 * 86_400)
    assert "2019/a" not in dome.hints.today
    assert "" in dome.hints.today
    old.write_bytes(b"another")
    assert changed(dome.run(6.5 * 3600)) == ["2019/a/d1.fits"]


def test_a_hint_that_a_file_was_closed_is_followed_at_once(tmp_path: Path) -> None:
    dome = Dome(tmp_path, SettleRule(looks=1, quiet=0))
    dome.run(60)
    dome.write("d1.fits")
    dome.hints.next = [
        Hint("", "d1.fits", Writing.OPEN),
        Hint("", "d1.fits", Writing.CLOSED),
        Hint("", "d1.fits"),
    ]
    assert found(dome.watcher.step(60)) == ["d1.fits"]


def test_a_half_written_file_is_not_handed_over(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    path = dome.write("n/d1.fits", b"half")
    dome.hints.next = [Hint("n", "d1.fits", Writing.OPEN)]
    assert not found(dome.run(1200))
    path.write_bytes(b"half and half")
    dome.hints.next = [Hint("n", "d1.fits", Writing.CLOSED)]
    assert found(dome.run(15)) == ["n/d1.fits"]


def test_a_growing_file_is_handed_over_when_it_stopped_growing(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    path = dome.write("d1.fits")

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"x" * 100)

    assert not found(dome.run(300, each=grow))
    assert found(dome.run(20)) == ["d1.fits"]
    assert [e.signature.size for e in dome.events if isinstance(e, Found)] == [path.stat().st_size]


def test_a_rename_over_a_known_file_is_a_change(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("n/d1.fits", b"first")
    dome.run(60)
    dome.write("n/.d1.fits.part", b"secon").rename(tmp_path / "n/d1.fits")
    told = dome.run(120)
    assert changed(told) == ["n/d1.fits"]
    assert not found(told)
    assert not vanished(told)


def test_a_file_closed_again_without_a_change_is_not_told_again(tmp_path: Path) -> None:
    dome = Dome(tmp_path, SettleRule(looks=1, quiet=0))
    dome.write("d1.fits")
    dome.run(60)
    dome.hints.next = [Hint("", "d1.fits", Writing.CLOSED)]
    told = dome.run(30)
    assert not found(told)
    assert not changed(told)


def test_a_file_that_changed_while_it_was_read_is_followed_anew(tmp_path: Path) -> None:
    dome = Dome(tmp_path, learns=False)
    dome.write("d1.fits")
    assert found(dome.run(20)) == ["d1.fits"]
    dome.watcher.again("d1.fits")
    assert found(dome.run(20)) == ["d1.fits"]


def test_deleted_files_are_told_together_and_once(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    for n in range(5):
        dome.write(f"n/d{n}.fits")
    dome.run(60)
    for n in range(3):
        (tmp_path / f"n/d{n}.fits").unlink()
    dome.hints.next = [Hint("n", "d0.fits")]
    told = dome.run(30)
    assert vanished(told) == ["n/d0.fits", "n/d1.fits", "n/d2.fits"]
    assert not vanished(dome.run(7 * 3600))


def test_a_file_that_is_back_before_the_second_pass_has_not_vanished(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    path = dome.write("n/d1.fits")
    dome.run(60)
    path.rename(tmp_path / "away")
    dome.hints.next = [Hint("n", "d1.fits")]
    dome.run(3)
    (tmp_path / "away").rename(path)
    assert not vanished(dome.run(7 * 3600))


def test_a_deleted_directory_takes_its_files_and_those_below_along(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("n/d1.fits")
    dome.write("n/deep/d2.fits")
    dome.run(60)
    (tmp_path / "n").rename(tmp_path.with_name(tmp_path.name + "-away"))
    dome.hints.next = [Hint("n", None)]
    assert sorted(vanished(dome.run(30))) == ["n/d1.fits", "n/deep/d2.fits"]


def test_a_deleted_directory_that_no_hint_told_of_is_missed_by_the_full_sweep(
    tmp_path: Path,
) -> None:
    dome = Dome(tmp_path)
    dome.write("n/deep/d2.fits")
    dome.clock.time += 10**10  # the directory's ctime is long ago now
    dome.run(3 * 86_400 + 3600)
    (tmp_path / "n").rename(tmp_path.with_name(tmp_path.name + "-away"))
    assert not vanished(dome.run(120))
    assert vanished(dome.run(7 * 3600)) == ["n/deep/d2.fits"]


def test_many_vanished_files_come_in_one_piece_for_the_guard_to_see(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    for n in range(300):
        dome.write(f"n{n % 10}/d{n}.fits")
    dome.run(60)
    for path in list(tmp_path.glob("n*/*.fits")):
        path.unlink()
    told = [e for e in dome.run(7 * 3600) if vanished([e])]
    assert len(told) == 1
    assert len(vanished(told)) == 300


def test_what_vanishes_bit_by_bit_is_told_together(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    paths = [dome.write(f"n{n}/d.fits") for n in range(3)]
    dome.run(61)
    told = []
    for n, path in enumerate(paths):
        path.unlink()
        dome.hints.next = [Hint(f"n{n}", "d.fits")]
        told += dome.run(3)
    assert not vanished(told)
    told = [e for e in dome.run(30) if vanished([e])]
    assert len(told) == 1
    assert len(vanished(told)) == 3


def test_a_directory_that_became_unreadable_holds_up_no_other_conclusion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dome = Dome(tmp_path)
    paths = [dome.write(f"n{n}/d.fits") for n in range(2)]
    dome.run(61)
    for path in paths:
        path.unlink()
    dome.hints.next = [Hint("n0", "d.fits"), Hint("n1", "d.fits")]
    dome.run(1)
    really = dome.tree.open_directory

    def refuse(path: str) -> int:
        if path == "n0":
            raise PermissionError(13, "Permission denied")
        return really(path)

    monkeypatch.setattr(dome.tree, "open_directory", refuse)
    assert vanished(dome.run(30)) == ["n1/d.fits"]


def test_what_the_guard_held_back_is_not_told_until_the_next_full_sweep(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    path = dome.write("n/d1.fits")
    dome.run(60)
    path.unlink()
    dome.learns = False
    assert vanished(dome.run(5 * 3600)) == ["n/d1.fits"]


def test_no_sweep_begins_without_the_marker(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("d1.fits")
    (tmp_path / MARKER).unlink()
    with pytest.raises(Unavailable, match="marker"):
        dome.run(30)


@pytest.mark.parametrize("gone", ["only before", "only after"])
def test_a_pass_counts_only_with_the_marker_read_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    dome = Dome(tmp_path)
    path = dome.write("n/d1.fits")
    dome.run(61)
    path.unlink()
    dome.hints.next = [Hint("n", None)]
    dome.run(1)  # it is missed, and a first pass was made
    before = gone == "only before"
    marker, scan = tmp_path / MARKER, dome.tree.open_directory

    def turn(directory: str) -> int:
        marker.write_text("here") if before else marker.unlink()
        return scan(directory)

    monkeypatch.setattr(dome.tree, "open_directory", turn)
    if before:
        marker.unlink()
    with pytest.raises(Unavailable, match="marker"):
        dome.run(10)
    assert not vanished(dome.events)


def test_a_source_whose_marker_is_gone_is_noticed_within_todays_sweep(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.run(120)
    (tmp_path / MARKER).unlink()
    with pytest.raises(Unavailable):
        dome.run(70)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), Unreadable("no")])
def test_an_unreadable_directory_is_told_and_its_files_have_not_vanished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    dome = Dome(tmp_path)
    dome.write("n/d1.fits")
    dome.write("n/deep/d2.fits")
    dome.run(60)
    really = dome.tree.open_directory

    def refuse(path: str) -> int:
        if path.startswith("n"):
            raise error
        return really(path)

    monkeypatch.setattr(dome.tree, "open_directory", refuse)
    told = dome.run(7 * 3600)
    assert {e.directory for e in told if isinstance(e, UnreadableDirectory)} == {"n", "n/deep"}
    assert not vanished(told)
    assert sweeps(told)[-1].unreadable == 1


def test_odd_things_are_told_once_and_stop_nothing(tmp_path: Path) -> None:
    dome = Dome(tmp_path, learns=False)
    (tmp_path / "out").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        dome.write("d1.fits")
        told = dome.run(3 * 3600)
    assert set(odd(told)) == {"out", "pipe", "sock"}
    assert len([e for e in told if odd([e])]) == 3
    assert found(told) == ["d1.fits"]


@pytest.mark.parametrize("learns", [True, False])
def test_a_file_that_cannot_be_checked_is_odd_once_and_the_others_go_on(
    tmp_path: Path, learns: bool
) -> None:
    def complete(path: str) -> bool | None:
        if path == "bad.fits":
            raise OSError(5, "Input/output error")
        return True

    dome = Dome(tmp_path, complete=complete, learns=learns)
    dome.write("bad.fits")
    dome.write("good.fits")
    told = dome.run(600)
    assert ["Input/output error" in e.reason for e in told if isinstance(e, Odd)] == [True]
    assert found(told) == ["good.fits"]


def test_names_that_differ_in_case_only_are_two_files(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("n/d1.fits")
    dome.write("n/D1.FITS")
    assert sorted(found(dome.run(30))) == ["n/D1.FITS", "n/d1.fits"]


def test_a_name_with_a_line_end_is_written_as_the_ledger_writes_it(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("a\nb/c%.fits")
    assert found(dome.run(30)) == ["a%0Ab/c%25.fits"]


def test_an_overflow_makes_everything_be_swept_at_once(tmp_path: Path) -> None:
    """The overflow is made up here; test_watch_hints has a real one."""
    dome = Dome(tmp_path)
    dome.run(120)
    dome.write("n/d1.fits")
    dome.hints.next = [Overflow()]
    told = dome.run(15)
    assert found(told) == ["n/d1.fits"]
    assert len(sweeps(told)) == 1
    assert [e.overflow for e in told if isinstance(e, Slower)] == [True]


def test_after_an_overflow_no_file_waits_for_a_close_event_that_may_be_lost(
    tmp_path: Path,
) -> None:
    dome = Dome(tmp_path)
    dome.run(60)
    dome.write("d1.fits")
    dome.hints.next = [Hint("", "d1.fits", Writing.OPEN)]
    assert not found(dome.run(60))
    dome.hints.next = [Overflow()]
    assert found(dome.run(15)) == ["d1.fits"]


def test_an_overflow_also_tells_of_files_whose_opening_was_heard_just_before_it(
    tmp_path: Path,
) -> None:
    dome = Dome(tmp_path)
    dome.run(60)
    dome.write("d1.fits")
    dome.hints.next = [Hint("", "d1.fits", Writing.OPEN), Overflow()]
    assert found(dome.run(60)) == ["d1.fits"]


def test_lost_hints_make_it_slower_and_lose_nothing(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.run(120)
    dome.hints.next = [Lost("the location's directory is no longer watched")]
    told = dome.run(5)
    assert "no longer watched" in next(e.reason for e in told if isinstance(e, Slower))
    dome.write("n/d1.fits")
    assert found(dome.run(90)) == ["n/d1.fits"]


def test_a_restart_sweeps_and_hands_over_only_what_the_ledger_lacks(tmp_path: Path) -> None:
    before = Dome(tmp_path)
    before.write("n/d1.fits")
    before.run(60)
    after = Dome(tmp_path, ledger=before.ledger)
    after.write("n/d2.fits")
    assert found(after.run(60)) == ["n/d2.fits"]


def test_after_a_restart_the_last_nights_directories_are_still_todays(tmp_path: Path) -> None:
    before = Dome(tmp_path)
    before.write("2024/0512/d1.fits")
    before.run(120)
    after = Dome(tmp_path, ledger=before.ledger)
    after.run(60)
    after.write("2024/0512/d2.fits")
    assert found(after.run(90)) == ["2024/0512/d2.fits"]


def test_the_next_nights_directory_is_found_beside_the_last(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("2024/05/12/d1.fits")
    dome.clock.time += 10**10  # all ctimes are long ago: only what we saw changing is today's
    dome.run(120)
    dome.write("2024/05/13/d2.fits")
    assert found(dome.run(90)) == ["2024/05/13/d2.fits"]


def test_a_full_sweep_says_from_when_to_when_and_what_is_not_settled(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    dome.write("n/d1.fits")
    dome.write("n/d2.fits.part")
    first = sweeps(dome.run(1))[0]
    assert (first.directories, first.files, first.unsettled) == (2, 2, 2)
    assert first.began <= first.ended
    assert len(sweeps(dome.run(13 * 3600))) == 2


def test_more_files_than_may_be_in_hand_are_all_found_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "ROOM", 20)
    dome = Dome(tmp_path)
    for n in range(50):
        dome.write(f"n/d{n:03}.fits")
        dome.write(f"n/.hidden{n:03}")  # never settles, and sorts first
        dome.write(f"m/d{n:03}.fits")
    most = 0

    def count() -> None:
        nonlocal most
        most = max(most, dome.watcher._files.settler.working)

    told = dome.run(600, each=count)
    assert len(found(told)) == len(set(found(told))) == 100
    assert most <= 20
    done = sweeps(told)[0]
    assert len(found(told[: told.index(done)])) + done.unsettled >= 150
    assert sweeps(told)[0].files == 150


def test_a_ready_marker_wakes_its_file(tmp_path: Path) -> None:
    dome = Dome(tmp_path, SettleRule(ready_marker="{name}.done"))
    dome.write("n/d1.fits")
    assert not found(dome.run(630))
    dome.write("n/d1.fits.done", b"")
    dome.hints.next = [Hint("n", "d1.fits.done", Writing.CLOSED)]
    assert "n/d1.fits" in found(dome.run(2))


def test_a_known_signature_in_the_ledger_is_all_a_file_leaves_in_memory(tmp_path: Path) -> None:
    dome = Dome(tmp_path)
    for n in range(200):
        dome.write(f"n/d{n}.fits")
    dome.run(120)
    assert len(found(dome.events)) == 200
    assert not dome.watcher._files.settler
    assert not dome.watcher._files.given


def test_a_wrong_signature_in_the_ledger_is_a_change(tmp_path: Path) -> None:
    ledger = DictLedger()
    ledger.register("d1.fits", Signature(1, 2, 3, 4))
    dome = Dome(tmp_path, ledger=ledger)
    dome.write("d1.fits")
    told = dome.run(30)
    assert changed(told) == ["d1.fits"]
