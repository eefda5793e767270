"""nightferry-metrics -- tell Prometheus how it goes: as text over HTTP, and in a file.

Claims    nothing
Writes    nothing but its heartbeat
Settings  metrics: in etc/nightferry.yaml
Killed    at any moment: safe. One of it is enough for all hosts: it reads the database alone.
"""

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import nightferry
from nightferry import address, config, metrics, migrate
from nightferry.attention import Attention
from nightferry.connections import OneConnection
from nightferry.db import Database, DatabaseAway, Row, SchemaMismatch, Tx
from nightferry.errors import ConfigError
from nightferry.kind import SideDaemon
from nightferry.log import start as start_log
from nightferry.log import tell
from prometheus_client import write_to_textfile

SELDOM = timedelta(minutes=10)  # between two looks at every archived copy


@dataclass(frozen=True)
class Settings:
    """``listen``: where it answers; the loopback, for a Prometheus or its proxy on this host.
    ``textfile``: a file for node_exporter's textfile collector as well, whose name ends in .prom.
    """

    listen: str = "127.0.0.1:9750"
    textfile: Path | None = None
    every: timedelta = timedelta(seconds=15)


class Page(BaseHTTPRequestHandler):
    """``/metrics``, as it was last read."""

    server: "Server"

    def do_GET(self) -> None:
        if self.path.split("?")[0] not in ("/metrics", "/"):
            self.send_error(404, "only /metrics is here")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.text)))
        self.end_headers()
        self.wfile.write(self.server.text)

    def log_message(self, format: str, *args: object) -> None:
        """A scrape is no event."""


class Server(ThreadingHTTPServer):
    """Serves ``text``, which the loop replaces."""

    daemon_threads = True
    text = b""


def serve(host: config.HostConfig, settings: Settings, once: bool) -> None:
    """Reads the ledger every few seconds until it is told to stop."""
    attention = Attention(Database("", connections=OneConnection), "nightferry-metrics")
    attention.catch_signals()
    server = _server(host, settings)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    database = Database(
        lambda: host.dsn, actor="nightferry-metrics", site=host.site, host=host.host,
        connections=OneConnection,
    )  # fmt: skip
    coverage: list[Row] = []
    looked, away = -SELDOM.total_seconds(), False
    began = False
    while not attention.stopping:
        try:
            if time.monotonic() - looked > SELDOM.total_seconds():
                coverage = database.run(_first_look)
                looked = time.monotonic()
            told = database.run(lambda tx: _read(tx, host, coverage))  # noqa: B023
            away = False
            attention.tell_systemd(f"STATUS=answering on http://{settings.listen}/metrics")
        except (DatabaseAway, SchemaMismatch) as error:
            told = metrics.away()
            attention.tell_systemd(f"STATUS=says that the database is away: {error}")
            if not away:
                tell(logging.WARNING, str(error))
            away = True
        server.text = told.text()
        if settings.textfile is not None:
            write_to_textfile(str(settings.textfile), told.registry())
        if not began:
            attention.tell_systemd("READY=1")  # without a database too: that is worth telling
            began = True
        if once:
            break
        attention.wait(settings.every.total_seconds(), [])
    attention.tell_systemd("STOPPING=1")
    server.shutdown()
    server.server_close()
    if not away:
        database.run(lambda tx: _last_beat(tx, host))
    database.close()


def _server(host: config.HostConfig, settings: Settings) -> Server:
    name, _, port = settings.listen.rpartition(":")
    try:
        return Server((name.strip("[]"), int(port)), Page)
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f"{host.path}: metrics: listen: {settings.listen}: {error}") from error


def _first_look(tx: Tx) -> list[Row]:
    migrate.check(tx)
    return metrics.read_coverage(tx)


def _read(tx: Tx, host: config.HostConfig, coverage: list[Row]) -> metrics.Told:
    tx.run(
        "jobs.heartbeat",
        daemon="metrics", host=host.host, name="", pid=os.getpid(),
        version=nightferry.__version__, status="reading the ledger",
    )  # fmt: skip
    return metrics.read(tx, coverage)


def _last_beat(tx: Tx, host: config.HostConfig) -> None:
    tx.run(
        "jobs.last_heartbeat",
        daemon="metrics", host=host.host, name="", pid=os.getpid(), status="stopped",
    )  # fmt: skip


daemon = SideDaemon("metrics", Settings, serve)


@click.command(help=f"\b\n{__doc__}", context_settings={"max_content_width": 100})
@click.option(
    "--config", "path", type=click.Path(path_type=Path), help="nightferry.yaml of this host"
)
@click.option("--once", is_flag=True, help="read once, then end")
@click.version_option(nightferry.__version__)
def main(path: Path | None, once: bool) -> None:
    start_log("nightferry-metrics")
    try:
        host = config.load(path)
        address.check(host)
        serve(host, host.settings("metrics", Settings), once)
    except ConfigError as error:  # the unit does not try again
        tell(logging.ERROR, str(error))
        sys.exit(os.EX_CONFIG)
