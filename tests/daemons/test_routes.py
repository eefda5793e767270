"""Links between sites: what is urgent overtakes, what is broken is said, and how fast they are."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from nightferry.cli import nf as commands
from nightferry.db import Database

from tests.daemons.ground import NIGHT, Ground, frame, ground, tree

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
