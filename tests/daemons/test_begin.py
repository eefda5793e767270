"""How a daemon begins: what it says to systemd and in which order, and what ends it with 78."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from nightferry import observatory
from nightferry.child import Place
from nightferry.db import Database, DatabaseAway
from nightferry.looking import look
from nightferry.testing.sites import environment, wait_until

from tests.daemons.ground import Ground, frame, ground
from tests.daemons.test_processes import Daemon
from tests.database import new_database


@contextmanager
def listening(place: Path) -> Iterator[list[str]]:
    """What systemd would hear, a message an entry, as it comes."""
    import threading

    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(place))

        def hear() -> None:
            while message := ear.recv(65536):
                heard.append(message.decode())

        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        yield heard
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(place))
        thread.join(5)


def rewrite(site: Ground, where: str, /, **changes: object) -> Path:
    path = site.sites.config(where)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))
    return path


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Ground]:
    site = ground(tmp_path, database, keep=None)
    yield site
    site.db.close()


def test_it_is_ready_when_its_places_are_known_and_a_claim_was_tried(
    site: Ground, tmp_path: Path
) -> None:
    site.sites.path("archive-b").rename(tmp_path / "elsewhere")
    with (
        listening(tmp_path / "notify") as heard,
        Daemon(
            site.sites.command("center", "archive"), tmp_path / "log",
            NOTIFY_SOCKET=str(tmp_path / "notify"),
        ) as daemon,
    ):  # fmt: skip
        wait_until(lambda: "READY=1" in heard, 30, "READY=1")
        states = site.ask("SELECT location, state::text FROM location_state ORDER BY 1")
        assert states == [
            ("archive-a", "available"), ("archive-b", "unavailable"), ("center-buffer", "available")
        ]  # fmt: skip
        told = [m for m in heard[: heard.index("READY=1")] if m.startswith("STATUS=")]
        assert "archive-b is away (archive-b: " in told[-1]
        assert daemon.said().count("archive-b is away") == 1
        wait_until(lambda: heard.count("WATCHDOG=1") > 2, 30, "the watchdog's food")
        (tmp_path / "elsewhere").rename(site.sites.path("archive-b"))
        wait_until(lambda: "archive-b is back" in daemon.said(), 30, "its word")
        assert daemon.stop() == 0
    assert any(m.startswith("STOPPING=1") for m in heard)


def test_a_place_that_never_answers_does_not_hold_up_the_others(tmp_path: Path) -> None:
    from nightferry.durable import init_location

    (tmp_path / "there").mkdir()
    marker = init_location(tmp_path / "there", "there").marker
    (tmp_path / "dead").mkdir()
    os.mkfifo(tmp_path / "dead" / ".nightferry-location")  # whoever opens it plainly, waits
    found = look(
        [
            Place("there", tmp_path / "there", "posix", "BUFFER", marker),
            Place("gone", tmp_path / "gone", "posix", "BUFFER", marker),
            Place("dead", tmp_path / "dead", "posix", "BUFFER", marker),
        ],
        seconds=1.0,
    )
    assert (found["there"].trouble, found["there"].answered) == ("", True)
    assert found["there"].space["total"] > 0
    assert "gone" in found["gone"].trouble
    assert found["dead"].trouble


def test_it_says_in_a_persons_words_what_it_does(site: Ground, tmp_path: Path) -> None:
    site.put("f1.fits", frame(1))
    for where, name in (
        ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"),
        ("center", "verify"),
    ):  # fmt: skip
        site.once(where, name)
    with (
        listening(tmp_path / "notify") as heard,
        Daemon(
            [*site.sites.command("center", "archive")[:1], "-m", "tests.daemons.slow",
             "--config", str(site.sites.config("center"))],
            tmp_path / "log", NOTIFY_SOCKET=str(tmp_path / "notify"), GATE=str(tmp_path / "gate"),
        ) as daemon,
    ):  # fmt: skip
        wait_until(
            lambda: any("archiving 2 of 2, oldest" in message for message in heard), 30,
            "archiving 2 of 2",
        )  # fmt: skip
        (tmp_path / "gate").touch()
        wait_until(lambda: "arriving at archive-b" in daemon.said(), 30, "its end")
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("changes", "key", "word"),
    [
        ({"raep": {}}, "raep", "did you mean 'reap'?"),
        ({"reap": {"agein_after": "1 h"}}, "reap", "did you mean 'again_after'?"),
        ({"timing": {"lease": "soon"}}, "timing", "'soon' is no duration"),
        ({"site": "dom"}, "site", "the observatory has no site 'dom'; did you mean 'dome'?"),
        (
            {"locations": {"dome-bufer": "/srv"}},
            "locations",
            "the observatory has no location 'dome-bufer'; did you mean 'dome-buffer'?",
        ),
        ({"instruments": "/usr/libb"}, "instruments", "no folder; did you mean 'lib"),
        ({"database": "postgresql//dome:s3cret@db"}, "database", "no address of a PostgreSQL"),
    ],
)
def test_a_wrong_setting_ends_it_with_78_and_names_file_line_and_key(
    site: Ground, changes: dict[str, object], key: str, word: str
) -> None:
    path = rewrite(site, "dome", **changes)
    ended = subprocess.run(
        site.sites.command("dome", "reap"),
        capture_output=True, text=True, env=environment(), check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == os.EX_CONFIG
    lines = path.read_text().splitlines()
    first = 1 + next(n for n, line in enumerate(lines) if line.startswith(f"{key}:"))
    assert f"{path}, line {first}" in ended.stderr or f"{path}, line {first + 1}" in ended.stderr
    assert word in ended.stderr
    assert "s3cret" not in ended.stderr


@pytest.mark.parametrize("key", ["catalogs", "remote"])
def test_a_catalogue_that_nobody_knows_is_refused_with_the_nearest(site: Ground, key: str) -> None:
    path = rewrite(site, "dome", calibrate={key: ["refcat2", "gaia-dr33"]})
    ended = subprocess.run(
        site.sites.command("dome", "calibrate"),
        capture_output=True, text=True, env=environment(), check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == os.EX_CONFIG
    line = path.read_text().splitlines().index("calibrate:") + 2
    assert f"{path}, line {line}: calibrate: {key}: there is no catalogue 'gaia-dr33'; did you" in (
        ended.stderr
    )


def test_before_the_observatory_is_known_it_waits_and_says_what_to_type(
    server: str, template: str, database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, keep=None)
    with (
        new_database(server, template) as empty,
        listening(tmp_path / "notify") as heard,
    ):
        rewrite(site, "dome", database=empty)
        with Daemon(
            site.sites.command("dome", "package"), tmp_path / "log",
            NOTIFY_SOCKET=str(tmp_path / "notify"),
        ) as daemon:  # fmt: skip
            waits = "no site is in it yet: nf config apply observatory.yaml"
            wait_until(lambda: sum(waits in m for m in heard) > 2, 30, "three tries")
            assert daemon.said().count(waits) == 1
            assert "READY=1" not in heard
            document = observatory.load(tmp_path / "etc/observatory.yaml")
            session = Database(empty)
            session.run(lambda tx: observatory.apply(tx, document))
            session.close()
            wait_until(lambda: "READY=1" in heard, 30, "READY=1")
            assert daemon.stop() == 0
    site.db.close()


@pytest.mark.parametrize("state", ["disk_full", "out_of_memory", "too_many_connections"])
def test_a_database_without_room_is_waited_for_like_one_that_is_away(
    site: Ground, state: str
) -> None:
    with pytest.raises(DatabaseAway, match="no more room"):
        site.ask(f"DO $$ BEGIN RAISE EXCEPTION 'no more room' USING ERRCODE = '{state}'; END $$")


def test_no_password_is_ever_said(site: Ground, tmp_path: Path) -> None:
    secret = "correct-horse-battery"
    rewrite(site, "dome", database=f"postgresql://dome:{secret}@127.0.0.1:9/nightferry")
    with (
        listening(tmp_path / "notify") as heard,
        Daemon(
            site.sites.command("dome", "ingest"), tmp_path / "log",
            NOTIFY_SOCKET=str(tmp_path / "notify"),
        ) as daemon,
    ):  # fmt: skip
        wait_until(lambda: any("waiting for the database" in m for m in heard), 30, "its word")
        assert "the database does not answer" in daemon.said()
        assert daemon.stop() == 0
        assert secret not in daemon.said() + "".join(heard)
    for words in (["status"], ["check"], ["status", "--json"]):
        said = subprocess.run(
            [*site.sites.command("dome", "ingest")[:2], "nightferry.cli", "--config",
             str(site.sites.config("dome")), *words],
            capture_output=True, text=True, env=environment(), check=False, timeout=60,
        )  # fmt: skip
        assert said.returncode in (1, 4)
        assert secret not in said.stdout + said.stderr
