"""What is said reaches the journal whole, field by field, and can forge nothing."""

import array
import json
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry import log


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where journald would listen."""
    place = str(tmp_path / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(place)
        listening.settimeout(5)
        monkeypatch.setattr(log, "_JOURNAL", place)
        monkeypatch.setenv("JOURNAL_STREAM", "8:1")
        monkeypatch.delenv("NIGHTFERRY_LOG", raising=False)
        log.start("nightferry-test")
        yield listening
    log.log.handlers[:] = []
    log.log.propagate = True


def received(listening: socket.socket) -> list[tuple[str, str]]:
    """The fields of the next entry, by systemd's native protocol."""
    data, ancillary, _, _ = listening.recvmsg(1 << 20, socket.CMSG_SPACE(4))
    for _, _, rights in ancillary:
        (file,) = array.array("i", rights[:4])
        with open(file, "rb") as sealed:
            sealed.seek(0)
            data = sealed.read()
    fields = []
    while data:
        name, _, data = data.partition(b"\n")
        length = int.from_bytes(data[:8], "little")
        fields.append((name.decode(), data[8 : 8 + length].decode()))
        data = data[8 + length + 1 :]
    return fields


def test_every_field_arrives_and_a_list_is_a_field_for_each(journal: socket.socket) -> None:
    log.tell(logging.WARNING, "two came", file=["a.fits", "b.fits"], location="dome")
    assert received(journal) == [
        ("MESSAGE", "two came"),
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "nightferry-test"),
        ("NIGHTFERRY_FILE", "a.fits"),
        ("NIGHTFERRY_FILE", "b.fits"),
        ("NIGHTFERRY_LOCATION", "dome"),
    ]


def test_an_entry_longer_than_a_datagram_arrives_too(journal: socket.socket) -> None:
    names = [f"night/{n:06}{'x' * 200}.fits" for n in range(5000)]
    log.tell(logging.INFO, "many", file=names)
    found = received(journal)
    assert [value for name, value in found if name == "NIGHTFERRY_FILE"] == names


def test_what_a_header_brings_can_forge_no_field_line_or_colour(journal: socket.socket) -> None:
    evil = "M 13\nPRIORITY=0\nMESSAGE=all is well\x1b[2J\x07\udcff"
    log.tell(logging.INFO, f"object {evil}", file=evil, night="2026-03-14\n_UID=0")
    found = received(journal)
    assert [name for name, _ in found].count("PRIORITY") == 1
    assert {name for name, _ in found} == {
        "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "NIGHTFERRY_FILE", "NIGHTFERRY_NIGHT"
    }  # fmt: skip
    text = dict(found)["MESSAGE"]
    assert "\x1b" not in text
    assert "\x07" not in text
    assert all(line.startswith("    ") for line in text.split("\n")[1:])


def test_on_request_each_line_is_a_document(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTFERRY_LOG", "json")
    log.start("nightferry-test")
    log.tell(logging.ERROR, 'a "quoted"\nline', job="x@y", file=["a", "b"], night=None)
    log.log.handlers[:] = []
    log.log.propagate = True
    (line,) = capfd.readouterr().err.splitlines()
    told = json.loads(line)
    assert told.pop("TIME").startswith("20")
    assert told == {
        "SYSLOG_IDENTIFIER": "nightferry-test",
        "PRIORITY": 3,
        "MESSAGE": 'a "quoted"\n    line',
        "NIGHTFERRY_JOB": "x@y",
        "NIGHTFERRY_FILE": ["a", "b"],
        "NIGHTFERRY_NIGHT": "None",
    }


def test_without_a_journal_it_is_a_line_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    os.environ.pop("JOURNAL_STREAM", None)
    log.start("nightferry-test")
    log.tell(logging.INFO, "here")
    log.log.handlers[:] = []
    log.log.propagate = True
    assert capfd.readouterr().err.endswith("nightferry-test: here\n")
