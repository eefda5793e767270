"""nf events: the history as a stream that misses nothing, and a command for each event."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from nightferry.testing.sites import environment, wait_until

from tests.ledger import Ledger
from tests.typed import Nf


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database)


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


def happen(ledger: Ledger, *whats: str) -> None:
    for what in whats:
        ledger.execute("INSERT INTO event (what, subject) VALUES (%s, 'it')", what)


def whats(text: str) -> list[str]:
    return [json.loads(line)["what"] for line in text.splitlines()]


def seen(nf: Nf, *options: str) -> list[str]:
    return whats(nf("events", "--json", *options).out)


def test_the_last_events_are_told_in_their_order(ledger: Ledger, nf: Nf) -> None:
    happen(ledger, "one", "two", "three")
    assert seen(nf, "-n", "2") == ["two", "three"]
    assert seen(nf, "--what", "t*", "--since", "1 h") == ["two", "three"]
    ledger.execute(
        "INSERT INTO event (what, subject, location, detail) VALUES ('copy lost', 'x', NULL, '{\"why\": \"\\u001b[31m\"}')"
    )
    line = nf("events", "-n", "1").out
    assert "copy lost: x (why: %1B[31m)" in line
    assert nf("events", "--since", "soon").code == 3


def test_the_order_is_that_of_numbers(ledger: Ledger, nf: Nf, tmp_path: Path) -> None:
    ledger.execute("INSERT INTO event (what, xid) VALUES ('ten', '10'), ('nine', '9')")
    assert seen(nf, "-n", "1000", "--what", "nine", "--what", "ten") == ["nine", "ten"]
    (tmp_path / "cursor").write_text("8 00000000-0000-0000-0000-000000000000\n")
    cursor = ("--cursor", str(tmp_path / "cursor"))
    assert seen(nf, *cursor, "--what", "nine", "--what", "ten") == ["nine", "ten"]


def test_what_commits_late_is_not_passed_over(
    ledger: Ledger, nf: Nf, database: str, tmp_path: Path
) -> None:
    cursor = ("--cursor", str(tmp_path / "cursor"))
    happen(ledger, "first")
    assert seen(nf, "-n", "1", *cursor) == ["first"]
    with psycopg.connect(database) as slow:
        slow.execute("INSERT INTO event (what) VALUES ('late')")
        happen(ledger, "quick")
        assert seen(nf, *cursor) == []  # it waits for the one that came before it
        slow.commit()
    assert seen(nf, *cursor) == ["late", "quick"]
    assert seen(nf, *cursor) == []


def test_a_command_that_fails_gets_its_event_again(ledger: Ledger, nf: Nf, tmp_path: Path) -> None:
    cursor = ("--cursor", str(tmp_path / "cursor"))
    got, broken = tmp_path / "got", tmp_path / "broken"
    script = tmp_path / "hook"
    script.write_text(
        f'#!/bin/sh\n[ -e {broken} ] && exit 7\necho "$NIGHTFERRY_WHAT" >>{got}\ncat >/dev/null\n'
    )
    script.chmod(0o755)
    happen(ledger, "one")
    assert nf("events", "-n", "1", "--run", str(script), *cursor).code == 0
    broken.touch()
    happen(ledger, "two")
    failed = nf("events", "--run", str(script), *cursor)
    assert failed.code == 2
    assert "ended with 7" in failed.err
    broken.rename(tmp_path / "mended")
    assert nf("events", "--run", str(script), *cursor).code == 0
    assert got.read_text().split() == ["one", "two"]


def heed_interrupts() -> None:
    """What a shell starts in its background does not heed Ctrl-C, and the tests may be that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_following_tells_what_comes(ledger: Ledger, nf: Nf, tmp_path: Path) -> None:
    happen(ledger, "before")
    got = tmp_path / "got"
    hook = f"sh -c {shlex.quote(f'cat >>{got}')}"
    command = [sys.executable, "-m", "nightferry.cli", "--config", str(nf.config), "events"]
    following = subprocess.Popen(
        [*command, "-n", "1", "-f", "--run", hook], env=environment(), preexec_fn=heed_interrupts
    )
    try:
        wait_until(lambda: got.exists() and whats(got.read_text()) == ["before"], 30, "the first")
        happen(ledger, "after")
        wait_until(lambda: whats(got.read_text()) == ["before", "after"], 30, "what came")
    finally:
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 130


def test_another_file_is_no_cursor(nf: Nf, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("buy milk\n")
    refused = nf("events", "--cursor", str(tmp_path / "notes"))
    assert refused.code == 3
    assert (tmp_path / "notes").read_text() == "buy milk\n"
