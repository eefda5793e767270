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
from nightferry import config, metrics, migrate, yamlfile
from nightferry.attention import Attention
from nightferry.conduct import OF_NO_USE, Outage, load, read_again
from nightferry.connections import OneConnection
from nightferry.db import ANSWER, Database, DatabaseAway, Row, Tx
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


class Teller:
    """Reads the ledger every few seconds and tells it, until it is told to stop."""

    def __init__(self, host: config.HostConfig, settings: Settings) -> None:
        self.host, self.settings = host, settings
        self.database = Database(
            lambda: self.host.dsn, actor="nightferry-metrics", site=host.site, host=host.host,
            connections=OneConnection, answer=ANSWER,
        )  # fmt: skip
        self.attention = Attention(self.database, "nightferry-metrics")
        self.outage = Outage(self.attention, "metrics")
        self.server = _server(host, settings)
        self._coverage: list[Row] = []
        self._looked = -SELDOM.total_seconds()
        self._unwritten = ""  # why the textfile is not there

    def run(self, once: bool) -> None:
        self.attention.catch_signals()
        _answer(self.server)
        ready = False
        while not self.attention.stopping:
            told = self._look()
            self.server.text = told.text()
            self._write(told)
            if not ready:
                self.attention.tell_systemd("READY=1")  # without a database too: it tells that
                ready = True
            if once:
                break
            self.attention.wait(self.settings.every.total_seconds(), [])
            if self.attention.reload:
                read_again(self.attention, self.host, self._take)
        self._end()

    def _look(self) -> metrics.Told:
        try:
            if time.monotonic() - self._looked > SELDOM.total_seconds():
                self._coverage = self.database.run(_first_look)
                self._looked = time.monotonic()
            told = self.database.run(lambda tx: _read(tx, self.host, self._coverage))
        except OF_NO_USE as error:
            self.outage.goes_on(error, self.host, meanwhile=", and tells Prometheus so")
            return metrics.away()
        self.outage.is_over()
        unwritten = f"; {self._unwritten}" if self._unwritten else ""
        self.attention.tell_systemd(
            f"STATUS=answering on http://{self.settings.listen}/metrics{unwritten}"
        )
        return told

    def _write(self, told: metrics.Told) -> None:
        """For the textfile collector. A place that is full or gone does not end the answers."""
        path = self.settings.textfile
        trouble = ""
        try:
            if path is not None:
                write_to_textfile(str(path), told.registry())
        except OSError as error:
            trouble = f"{path} can't be written: {error.strerror or error}"
        if trouble and not self._unwritten:
            where = yamlfile.place_of(self.host.path, "metrics", "textfile")
            tell(logging.WARNING, f"{where}: {trouble}. It is tried again and again")
        elif self._unwritten and not trouble:
            tell(logging.INFO, f"{path} is written again")
        self._unwritten = trouble

    def _take(self, fresh: config.HostConfig) -> None:
        """A configuration that was read again; raises ConfigError before anything is changed."""
        settings = fresh.settings("metrics", Settings)
        if settings.listen != self.settings.listen:
            server = _server(fresh, settings)
            server.text = self.server.text
            _answer(server)
            _silence(self.server)
            self.server = server
        self.host, self.settings = fresh, settings

    def _end(self) -> None:
        self.attention.tell_systemd("STOPPING=1")
        _silence(self.server)
        try:
            if self.outage.since is None:
                self.database.run(lambda tx: _last_beat(tx, self.host))
        except DatabaseAway as error:
            tell(logging.WARNING, f"stopped without saying so: {error}")
        self.database.close()


def serve(host: config.HostConfig, settings: Settings, once: bool) -> None:
    """Until it is told to stop; with ``once``, one reading."""
    Teller(host, settings).run(once)


def _server(host: config.HostConfig, settings: Settings) -> Server:
    name, _, port = settings.listen.rpartition(":")
    try:
        return Server((name.strip("[]"), int(port)), Page)
    except (OSError, ValueError, OverflowError) as error:
        where = yamlfile.place_of(host.path, "metrics", "listen")
        raise ConfigError(f"{where}: listen: {settings.listen}: {error}") from error


def _answer(server: Server) -> None:
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _silence(server: Server) -> None:
    server.shutdown()
    server.server_close()


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
        host = load(path)
        serve(host, host.settings("metrics", Settings), once)
    except ConfigError as error:  # the unit does not try again
        tell(logging.ERROR, str(error))
        sys.exit(os.EX_CONFIG)
