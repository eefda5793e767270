"""A sweep sees every name there is, and says exactly what differs from what the ledger knows."""

import os
import socket
from pathlib import Path

import pytest
from nightferry.names import to_text
from nightferry.watch import Signature, signature_of
from nightferry.watch.sweep import DirectoryLook, look_at

from tests.unit.watch_ground import DictLedger, PlainTree


def look(
    top: Path, ledger: DictLedger, directory: str = "", room: int = 10**6, inodes: bool = True
) -> DirectoryLook:
    return look_at(
        PlainTree(top),
        directory,
        ledger,
        stable_inodes=inodes,
        room=room,
        in_hand=lambda path, signature: False,
        watch_first=lambda directory, fd: None,
    )


def learn(ledger: DictLedger, seen: DirectoryLook) -> None:
    for name, signature in {**seen.fresh, **seen.changed}.items():
        ledger.register(f"{seen.directory}/{name}".lstrip("/"), signature)


NAMES = [
    b"plain.fits",
    b"with space.fits",
    b"line\nend.fits",
    b"100%.fits",
    b"back\\slash.fits",
    b"d1001.fits",
    b"D1001.FITS",
    b"not-utf8-\xff\xfe.fits",
    "caf\u00e9.fits".encode(),
    "cafe\u0301.fits".encode(),
    b"x" * 255,
]


def test_every_name_comes_back_byte_for_byte(tmp_path: Path) -> None:
    for name in NAMES:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(b"light")
    seen = look(tmp_path, DictLedger())
    assert set(seen.fresh) == {to_text(name) for name in NAMES}
    assert seen.files == len(NAMES)


def test_names_once_known_are_known_again_whatever_is_in_them(tmp_path: Path) -> None:
    for name in NAMES:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(b"light")
    ledger = DictLedger()
    learn(ledger, look(tmp_path, ledger))
    assert look(tmp_path, ledger).same


def test_the_marker_and_our_own_directory_are_not_data(tmp_path: Path) -> None:
    (tmp_path / ".nightferry" / "trash").mkdir(parents=True)
    seen = look(tmp_path, DictLedger())
    assert not seen.fresh
    assert not seen.subdirectories


def test_a_marker_name_further_down_is_a_file_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / ".nightferry-location").write_text("x")
    assert set(look(tmp_path, DictLedger(), "n").fresh) == {".nightferry-location"}


@pytest.mark.parametrize("what", ["bytes", "mtime", "rename over", "delete", "add"])
def test_anything_that_happens_in_a_directory_gives_it_another_digest(
    tmp_path: Path, what: str
) -> None:
    ledger = DictLedger()
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("2")
    before = look(tmp_path, ledger).digest
    assert look(tmp_path, ledger).digest == before
    if what == "bytes":
        a.write_text("longer")
    elif what == "mtime":
        os.utime(a, ns=(1, 1))
    elif what == "rename over":
        b.rename(a)
    elif what == "delete":
        a.unlink()
    else:
        (tmp_path / "c").mkdir()
    assert look(tmp_path, ledger).digest != before


def test_an_equal_digest_means_that_nothing_is_compared(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    ledger = DictLedger()
    first = look(tmp_path, ledger)
    ledger.digests[""] = first.digest
    ledger.asked_for_all = 0
    again = look(tmp_path, ledger)
    assert again.same
    assert again.unchanged
    assert ledger.asked_for_all == 0


def test_fresh_changed_and_vanished_are_told_apart(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    ledger = DictLedger()
    learn(ledger, look(tmp_path, ledger))
    (tmp_path / "a").write_text("another")
    (tmp_path / "b").unlink()
    (tmp_path / "d").write_text("new")
    seen = look(tmp_path, ledger)
    assert set(seen.fresh) == {"d"}
    assert set(seen.changed) == {"a"}
    assert seen.vanished == {"b"}


def test_a_file_that_became_a_directory_has_vanished(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    ledger = DictLedger()
    learn(ledger, look(tmp_path, ledger))
    (tmp_path / "a").unlink()
    (tmp_path / "a").mkdir()
    assert look(tmp_path, ledger).vanished == {"a"}


def test_links_fifos_and_sockets_are_odd_and_say_why(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        seen = look(tmp_path, DictLedger())
    reasons = {o.path: o.reason for o in seen.oddities}
    assert "symbolic link" in reasons["out"]
    assert "FIFO" in reasons["pipe"]
    assert "socket" in reasons["sock"]
    assert not seen.fresh
    assert seen.files == 0


def test_a_directory_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret").write_text("x")
    (inside / "way-out").symlink_to(outside)
    seen = look(inside, DictLedger())
    assert [o.path for o in seen.oddities] == ["way-out"]
    with pytest.raises(OSError):
        look(inside, DictLedger(), "way-out")


def test_an_oddity_in_quarantine_is_not_told_again(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc/passwd")
    ledger = DictLedger()
    first = look(tmp_path, ledger)
    ledger.register("out", first.oddities[0].signature)
    assert look(tmp_path, ledger).same


@pytest.mark.parametrize("year", [-8_000_000_000, 4_000_000_000, 15_000_000_000])
def test_times_outside_of_what_the_ledger_can_hold_are_clipped_and_stay_equal(
    tmp_path: Path, year: int
) -> None:
    (tmp_path / "a").write_text("1")
    os.utime(tmp_path / "a", (year, year))
    ledger = DictLedger()
    learn(ledger, look(tmp_path, ledger))
    assert all(abs(n) < 2**63 for s in ledger.files[""].values() for n in s)
    assert look(tmp_path, ledger).same


def test_an_inode_above_the_bigints_range_is_held(tmp_path: Path) -> None:
    values = [0o100644, 2**64 - 5, 1, 1, 0, 0, 3, 0, 0, 0]
    extra = {"st_mtime_ns": 2**70, "st_ctime_ns": -(2**70)}
    seen = os.stat_result(values, extra)
    assert signature_of(seen, True) == Signature(3, 2**63 - 1, -(2**63 - 1), 2**63 - 5)


def test_where_inodes_are_invented_they_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    seen = look(tmp_path, DictLedger(), inodes=False)
    assert seen.fresh["a"].inode == 0


def test_without_room_the_rest_is_announced_not_dropped(tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / name).write_text(name)
    ledger = DictLedger()
    first = look(tmp_path, ledger, room=2)
    assert len(first.fresh) == 2
    assert first.more
    assert not first.same
    learn(ledger, first)
    second = look(tmp_path, ledger, room=10)
    assert len(second.fresh) == 3
    assert not second.more


def test_entries_are_seen_after_the_watch_is_set(tmp_path: Path) -> None:
    """What appears between the watch and the scan is in the look: watch first, scan second."""

    def appear(directory: str, fd: int) -> None:
        (tmp_path / "just-now").write_text("x")

    seen = look_at(
        PlainTree(tmp_path),
        "",
        DictLedger(),
        stable_inodes=True,
        room=9,
        in_hand=lambda path, signature: False,
        watch_first=appear,
    )
    assert "just-now" in seen.fresh
