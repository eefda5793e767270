"""nightferry-metrics as a process: another address, a place without room, a database that goes."""

import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry.testing.sites import environment, wait_until

from tests.daemons.ground import Ground, ground
from tests.daemons.proxy import Proxy
from tests.daemons.test_begin import listening, rewrite
from tests.daemons.test_processes import Daemon, through


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Ground]:
    site = ground(tmp_path, database, keep=None)
    yield site
    site.db.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def page(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def configure(site: Ground, port: int, **more: object) -> Path:
    return rewrite(site, "dome", metrics={"listen": f"127.0.0.1:{port}", "every": "0.2 s", **more})


def test_a_reload_takes_another_address_and_keeps_the_old_one_if_that_can_not_be_had(
    site: Ground, tmp_path: Path
) -> None:
    first, second, taken = free_port(), free_port(), free_port()
    configure(site, first)
    with Daemon(site.sites.command("dome", "metrics"), tmp_path / "log") as daemon:
        wait_until(lambda: "nightferry_database_up 1.0" in page(first), 30, "its page")
        configure(site, second)
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "nightferry_database_up 1.0" in page(second), 30, "its page there")
        wait_until(lambda: not page(first), 30, "the end of the first")
        with socket.create_server(("127.0.0.1", taken)):
            path = configure(site, taken)
            line = 1 + next(
                n for n, text in enumerate(path.read_text().splitlines()) if "listen:" in text
            )
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "the old configuration stays: " in daemon.said(), 30, "its word")
            assert f"{path}, line {line}: listen: 127.0.0.1:{taken}: " in daemon.said()
        assert "nightferry_database_up 1.0" in page(second)
        assert daemon.stop() == 0


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:99999", "203.0.113.7:9750"])
def test_an_address_that_is_none_ends_it_with_78_and_the_line(site: Ground, listen: str) -> None:
    path = rewrite(site, "dome", metrics={"every": "1 s", "listen": listen})
    ended = subprocess.run(
        site.sites.command("dome", "metrics"),
        capture_output=True, text=True, env=environment(), check=False, timeout=60,
    )  # fmt: skip
    line = 1 + next(n for n, text in enumerate(path.read_text().splitlines()) if "listen:" in text)
    assert ended.returncode == os.EX_CONFIG
    assert f"{path}, line {line}: listen: {listen}: " in ended.stderr


def test_a_file_that_can_not_be_written_is_told_once_and_the_page_is_answered(
    site: Ground, tmp_path: Path
) -> None:
    port, place = free_port(), tmp_path / "collector"
    textfile = place / "nightferry.prom"
    path = configure(site, port, textfile=str(textfile))
    notify = tmp_path / "notify"
    with (
        listening(notify) as heard,
        Daemon(
            site.sites.command("dome", "metrics"), tmp_path / "log", NOTIFY_SOCKET=str(notify)
        ) as daemon,
    ):  # fmt: skip
        trouble = f"; {textfile} can't be written: No such file or directory"
        wait_until(lambda: sum(m.endswith(trouble) for m in heard) > 2, 30, "three tries")
        assert "nightferry_database_up 1.0" in page(port)
        assert daemon.said().count("can't be written") == 1
        assert f"{path}, line " in daemon.said()
        place.mkdir()
        wait_until(lambda: f"{textfile} is written again" in daemon.said(), 30, "its return")
        assert "nightferry_database_up 1.0" in textfile.read_text()
        assert daemon.stop() == 0


def test_its_status_while_the_database_is_away_begins_like_all_others(
    site: Ground, tmp_path: Path
) -> None:
    port, notify = free_port(), tmp_path / "notify"
    configure(site, port)
    with Proxy(site.sites.dsn) as proxy, listening(notify) as heard:
        through(site, proxy.dsn)
        with Daemon(
            site.sites.command("dome", "metrics"), tmp_path / "log", NOTIFY_SOCKET=str(notify)
        ) as daemon:
            waits = "STATUS=waiting for the database since "
            wait_until(lambda: sum(m.startswith(waits) for m in heard) > 2, 30, "three tries")
            assert ", and tells Prometheus so: the database does not answer" in "".join(heard)
            assert "nightferry_database_up 0.0" in page(port)
            assert daemon.said().count("the database does not answer") == 1
            proxy.plug_in()
            wait_until(lambda: "nightferry_database_up 1.0" in page(port), 30, "its return")
            assert "the database is back after" in daemon.said()
            assert daemon.stop() == 0


def test_it_ends_politely_though_the_database_went_away_unnoticed(
    site: Ground, tmp_path: Path
) -> None:
    port = free_port()
    configure(site, port, every="10 min")
    with Proxy(site.sites.dsn) as proxy:
        proxy.plug_in()
        through(site, proxy.dsn)
        with Daemon(site.sites.command("dome", "metrics"), tmp_path / "log") as daemon:
            wait_until(lambda: "nightferry_database_up 1.0" in page(port), 30, "its page")
            proxy.unplug()
            assert daemon.stop() == 0
            assert "stopped without saying so: " in daemon.said()
            assert "Traceback" not in daemon.said()
