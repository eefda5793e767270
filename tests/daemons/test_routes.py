"""Links between sites: what is urgent overtakes, what is broken is said, and how fast they are."""

import json
import os
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from click.testing import CliRunner
from nightferry.cli import nf as commands
from nightferry.db import Database
from nightferry.testing.sites import wait_until
from nightferry.transports import LocalTransport, NotTheParcel, Parcel, Sent
from nightferryd import transfer

from tests.daemons.ground import NIGHT, Ground, frame, ground, tree
from tests.pace import took

SLOW = {"settings": {"bandwidth": {"rate": "400 kB"}}}


@pytest.fixture
def slow_link(database: str, tmp_path: Path) -> Iterator[Ground]:
    route = {"from": "dome-buffer", "to": "center-buffer", **SLOW}
    made = ground(tmp_path, database, extra={"routes": {"dome-to-center": route}})
    yield made
    made.db.close()


def nf(site: Ground, *words: str) -> str:
    config = str(site.sites.config("dome"))
    done = CliRunner().invoke(commands, ["--config", config, *words], catch_exceptions=False)
    return " ".join(done.output.split())


@pytest.mark.slow
def test_what_is_urgent_overtakes_what_is_under_way(slow_link: Ground) -> None:
    site = slow_link
    site.put("long.bin", os.urandom(3_000_000))  # of today, by its arrival: seconds on this link
    site.put("target.fits", frame(1))
    for daemon in ("ingest", "package", "verify"):
        site.once("dome", daemon)
    hold = "UPDATE physical_copy c SET state = 'suspect' FROM raw_data_package p WHERE p.id = c.package AND p.night = %s"
    site.ask(hold, NIGHT)

    def urgent() -> None:
        other = Database(site.sites.dsn, actor="observer", site="dome", host="dome")
        try:
            other.run(lambda tx: tx.execute(hold.replace("'suspect'", "'present'"), (NIGHT,)))
        finally:
            other.close()

    name = site.one("SELECT name FROM raw_data_package WHERE night = %s", NIGHT)
    assert "goes before" in nf(site, "routes", "hurry", name)
    came = threading.Timer(1.5, urgent)
    came.start()
    site.once("dome", "transfer")
    came.join()
    arrived = site.ask(
        "SELECT p.night, c.created FROM physical_copy c JOIN raw_data_package p ON p.id = c.package "
        "WHERE c.location = 'center-buffer' ORDER BY c.created"
    )
    assert [row.night == NIGHT for row in arrived] == [True, False]
    for site_name, daemon in (("center", "verify"), ("center", "archive"), ("center", "verify")):
        site.once(site_name, daemon)
    assert site.answer() == "YES"


def test_a_transfer_tells_how_far_it_is_and_is_cancelled_in_the_middle(slow_link: Ground) -> None:
    site = slow_link
    site.put("long.bin", os.urandom(3_000_000))  # nearly eight seconds on this link
    for daemon in ("ingest", "package", "verify"):
        site.once("dome", daemon)
    heard: dict[str, object] = {}

    def listen() -> None:
        """Until it has a rate; then a person has seen enough."""
        wait_until(lambda: jobs_of(site) and jobs_of(site)[0]["rate"], 30, "a rate")
        (job,) = jobs_of(site)
        heard["job"], heard["shown"] = job, nf(site, "jobs", "show", str(job["id"]))
        heard["routes"] = nf(site, "routes")
        nf(site, "jobs", "cancel", str(job["id"]), "--why", "not tonight")

    listening = threading.Thread(target=listen)
    listening.start()
    with mock.patch("nightferry.daemon.PROGRESS", timedelta(seconds=0.5)):
        site.once("dome", "transfer")
    listening.join()
    job = heard["job"]
    assert isinstance(job, dict)
    assert 0 < job["done"] < job["done_of"]
    assert 100_000 < job["rate"] < 2_000_000  # a chunk at a time
    for told in (heard["shown"], heard["routes"]):
        assert re.search(r"MB, \d+ %, \d+\.\d [kM]B/s, \d+ s left", str(told)), told
    assert site.copies("center-buffer") == []
    assert site.one("SELECT reason FROM blocked") == "cancelled"
    partial = [p for p in site.sites.path("center-buffer").rglob("*.part") if p.stat().st_size > 0]
    assert len(partial) == 1  # kept: released, it is gone on with
    nf(site, "jobs", "release", "--reason", "cancelled")
    site.once("dome", "transfer")
    assert site.copies("center-buffer") == ["arriving"]


def jobs_of(site: Ground) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = json.loads(nf(site, "jobs", "list", "--json"))["jobs"]
    return [job for job in jobs if job["kind"] == "transfer" and job["state"] == "running"]


def test_what_comes_while_a_bundle_crosses_and_another_waits_is_gathered(
    two_sites: Ground,
) -> None:
    site = two_sites

    def comes(number: int) -> None:
        """One more observation, packed; and what the tick makes of it."""
        site.put(f"s{number}.fits", frame(number, OBSNUM=number))
        for daemon in ("ingest", "package", "verify"):
            site.once("dome", daemon)
        site.db.run(lambda tx: list(transfer.tick(tx, transfer.Settings())))

    bundles = (
        "SELECT count(*) AS packages FROM data_transfer_package b "
        "JOIN data_transfer_member m ON m.bundle = b.id GROUP BY b.id ORDER BY b.id"
    )
    for number in (1, 2, 3, 4):
        comes(number)
    assert [b.packages for b in site.ask(bundles)] == [1, 1]
    site.ask("UPDATE policy SET bundle_size = (SELECT 2 * max(size) FROM raw_data_package)")
    comes(5)
    assert [b.packages for b in site.ask(bundles)] == [1, 1, 2]
    site.ask("UPDATE raw_data_package SET packed = now() - interval '6 min'")
    site.db.run(lambda tx: list(transfer.tick(tx, transfer.Settings())))
    assert [b.packages for b in site.ask(bundles)] == [1, 1, 2, 1]
    site.ask("UPDATE raw_data_package SET packed = now()")
    site.once("dome", "transfer")
    assert site.copies("center-buffer") == ["arriving"] * 5


def test_routes_say_what_waits_and_when_they_were_broken(two_sites: Ground) -> None:
    two_sites.frames(2)
    for daemon in ("ingest", "package", "verify"):
        two_sites.once("dome", daemon)
    (route,) = json.loads(nf(two_sites, "routes", "list", "--json"))
    assert (route["name"], route["breaker"], route["packages"]) == ("dome-to-center", "closed", 1)
    two_sites.ask(
        "INSERT INTO breaker (name, state, subjects, reason) VALUES ('dome-to-center', 'open', '{a,b,c}', 'no answer')"
    )
    told = nf(two_sites, "routes")
    assert "BROKEN" in told
    assert "no answer" in told
    two_sites.ask("UPDATE breaker SET state = 'closed'")
    assert "none known to be broken" in nf(two_sites, "routes")
    told = json.loads(nf(two_sites, "routes", "history", "dome-to-center", "--json"))
    assert [one["state"] for one in told] == ["closed", "open"]


def test_a_link_is_measured_and_nothing_of_it_stays(two_sites: Ground) -> None:
    folders = [two_sites.sites.path(name) for name in ("dome-buffer", "center-buffer")]
    before = [{path for path in tree(folder) if os.path.isfile(path)} for folder in folders]
    told = json.loads(nf(two_sites, "bench-link", "dome-to-center", "--size", "4 MB", "--json"))
    assert [one["streams"] for one in told["measured"]] == [1, 2, 4, 8]
    assert told["rate"] > 0
    assert told["bundle_size"] >= told["package_size_least"]
    assert [{path for path in tree(folder) if os.path.isfile(path)} for folder in folders] == before


class KnownLink:
    """A link whose numbers are known: a parcel costs 0.1 s however small, a stream has 5 MB/s, and
    all together 10 MB/s. Nothing crosses."""

    route, streams = "dome-to-center", 1
    SETUP, STREAM, ALL = 0.1, 5e6, 10e6

    def __init__(self, whole: int) -> None:
        self.whole = whole

    def probe(self) -> None: ...

    def send(self, parcel: Parcel, progress: object = None) -> Sent:
        beside = max(1, round(self.whole / parcel.size)) if parcel.size > 1000 else 1
        rate = min(self.STREAM, self.ALL / beside)
        threading.Event().wait(self.SETUP + parcel.size / rate)
        raise NotTheParcel("as a measurement wants it")


def test_what_is_proposed_is_right_for_a_link_that_is_known(two_sites: Ground) -> None:
    """Two streams fill it, and more do not help; a bundle is ten minutes of it; a package takes
    twenty times as long to cross, in its stream, as it costs."""
    link = KnownLink(10_000_000)
    words = ("bench-link", "dome-to-center", "--size", "10 MB")
    with mock.patch("nightferry.cli.bench_link.open_transport", return_value=link):
        found = json.loads(nf(two_sites, *words, "--json"))
        told = nf(two_sites, *words)
    assert found["streams"] == 2
    assert took(1 / found["rate"], 1 / 10e6)  # its setting out is in the time
    assert took(found["setup_seconds"], 0.1)
    assert found["bundle_size"] == pytest.approx(600 * found["rate"], rel=0.01)
    assert took(found["package_size_least"], 20 * 0.1 * 5e6)
    assert "Write streams: 2 into the route's settings" in told


@pytest.mark.parametrize(("streams", "together"), [(2, True), (1, False)])
def test_as_many_packages_are_under_way_as_the_route_has_streams(
    database: str, tmp_path: Path, streams: int, together: bool
) -> None:
    route = {"from": "dome-buffer", "to": "center-buffer", "settings": {"streams": streams}}
    site = ground(tmp_path, database, extra={"routes": {"dome-to-center": route}})
    for number in (1, 2):
        site.put(f"s{number}.fits", frame(number, OBSNUM=number))
        for daemon in ("ingest", "package", "verify"):
            site.once("dome", daemon)
    met: list[bool] = []
    both = threading.Barrier(2)
    real = LocalTransport.send

    def send(self: LocalTransport, parcel: Parcel, progress: Any = None) -> Sent:
        """Goes on once another is here as well, or it is clear that none comes."""
        try:
            both.wait(15 if together else 1)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
        return real(self, parcel, progress)

    with mock.patch.object(LocalTransport, "send", send):
        site.once("dome", "transfer")
    assert met == [together, together]
    assert site.one("SELECT count(*) FROM data_transfer_package") == 1
    assert site.copies("center-buffer") == ["arriving", "arriving"]
    site.db.close()


def test_a_bundle_that_was_formed_hurries_with_its_package(two_sites: Ground) -> None:
    two_sites.frames(1)
    for daemon in ("ingest", "package", "verify"):
        two_sites.once("dome", daemon)
    (package,) = two_sites.ask("SELECT id, name, size FROM raw_data_package")
    two_sites.ask(
        "WITH b AS (INSERT INTO data_transfer_package (route, priority, size) VALUES ('dome-to-center', 100, 1) RETURNING id) "
        "INSERT INTO data_transfer_member (bundle, package) SELECT b.id, %s FROM b",
        package.id,
    )
    nf(two_sites, "routes", "hurry", package.name, "--priority", "5")
    assert two_sites.one("SELECT priority FROM data_transfer_package") == 5
    assert two_sites.one("SELECT priority FROM raw_data_package") == 5
