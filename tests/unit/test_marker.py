"""Only a directory with the right marker is the location; without one it is never empty."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from nightferry import probing
from nightferry.durable import Root, init_location
from nightferry.errors import Occupied, Retry, Unavailable
from nightferry.marker import MARKER_FILE
from nightferry.probing import probe


def test_a_directory_without_a_marker_is_unavailable_and_never_empty(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nf locations init dome") as caught:
        Root.open("dome", tmp_path)
    assert caught.value.what == "dome"


def test_a_missing_directory_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="mounted"):
        Root.open("dome", tmp_path / "none")


def test_the_marker_is_placed_once(tmp_path: Path) -> None:
    first = init_location(tmp_path, "dome")
    assert init_location(tmp_path, "dome") == first
    document = json.loads((tmp_path / MARKER_FILE).read_text())
    assert (document["location"], document["marker"]) == ("dome", first.marker)
    assert [path.name for path in tmp_path.iterdir()] == [MARKER_FILE]
    with Root.open("dome", tmp_path, first.marker) as root:
        assert root.marker == first.marker
        assert root.marker_still_there()


def test_a_marker_that_the_disk_does_not_give_back_is_not_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: 1 + write(fd, memoryview(data)[1:]))
        with pytest.raises(Retry, match="other bytes"):
            init_location(tmp_path, "dome")
    assert list(tmp_path.iterdir()) == []
    assert init_location(tmp_path, "dome").location == "dome"


def test_the_marker_of_another_location_stays(tmp_path: Path) -> None:
    init_location(tmp_path, "dome")
    before = (tmp_path / MARKER_FILE).read_bytes()
    with pytest.raises(Occupied, match="is the location dome"):
        init_location(tmp_path, "archive")
    assert (tmp_path / MARKER_FILE).read_bytes() == before


def test_another_disk_of_the_same_name_is_not_the_location(tmp_path: Path) -> None:
    init_location(tmp_path, "dome")
    with pytest.raises(Unavailable, match="Mount the right disk"):
        Root.open("dome", tmp_path, "0190b5a0-7e1c-7000-8000-0123456789ab")
    with pytest.raises(Unavailable, match="marker of dome"):
        Root.open("archive", tmp_path)


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"location": "dome"}', "\udcff"])
def test_a_marker_that_cannot_be_understood_is_no_marker(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER_FILE).write_bytes(os.fsencode(text))
    with pytest.raises(Unavailable, match="cannot be read"):
        Root.open("dome", tmp_path)
    with pytest.raises(Occupied, match="cannot be understood"):
        init_location(tmp_path, "dome")


def test_a_marker_that_is_a_symbolic_link_is_no_marker(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    init_location(tmp_path / "elsewhere", "dome")
    (tmp_path / MARKER_FILE).symlink_to(tmp_path / "elsewhere" / MARKER_FILE)
    with pytest.raises(Unavailable, match="cannot be read"):
        Root.open("dome", tmp_path)


def test_where_it_is_read_only_the_command_for_the_owning_host_is_told_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Unavailable, match="read-only") as caught:
        init_location(tmp_path, "dome's disk")
    assert list(tmp_path.iterdir()) == []
    command = str(caught.value).partition("run:\n")[2]
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    marker = init_location(tmp_path, "dome's disk")
    assert marker.location == "dome's disk"
    assert not probe(tmp_path).writable


def test_a_marker_or_directory_that_goes_is_noticed(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    marker = init_location(disk, "dome")
    with Root.open("dome", disk, marker.marker) as root:
        (disk / MARKER_FILE).rename(tmp_path / "kept")
        assert not root.marker_still_there()
        (tmp_path / "kept").rename(disk / MARKER_FILE)
        assert root.marker_still_there()
        disk.rename(tmp_path / "away")
        assert not root.marker_still_there()
        disk.mkdir()
        (disk / MARKER_FILE).write_bytes((tmp_path / "away" / MARKER_FILE).read_bytes())
        assert not root.marker_still_there(), "the same marker, and another directory"


def test_a_probe_says_what_was_tried_and_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "frame.fits").write_bytes(b"bytes")
    found = probe(tmp_path)
    assert found.writable
    assert found.name_max >= 255
    assert found.directory_fsync
    assert found.rename_to_trash
    assert found.link
    assert not found.one_writer_only
    assert json.loads(json.dumps(found.as_json()))["file_system"] == found.file_system
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["frame.fits"]


def test_a_probe_clears_away_what_one_that_was_cut_short_left_in_the_trash_and_nothing_else(
    tmp_path: Path,
) -> None:
    token, trash = "01234567-89ab-cdef-0123-456789abcdef", tmp_path / ".nightferry/trash"
    (trash / token / "night").mkdir(parents=True)
    (trash / token / f".probe-2.{token}.part").write_bytes(b"probe")
    (trash / token / "night" / "frame.fits").write_bytes(b"a frame")
    (trash / "stray").write_bytes(b"put there by hand")
    probe(tmp_path)
    assert [p.name for p in sorted(trash.rglob("*")) if p.is_file()] == ["frame.fits", "stray"]


def test_a_probe_tells_a_file_system_with_one_writer_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(probing, "rename_no_replace", refuse)
    monkeypatch.setattr(probing, "link", refuse)
    found = probe(tmp_path)
    assert found.one_writer_only
    assert found.rename_to_trash
