"""Hosts for all scenes: made once, and gone at the end."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import psycopg
import pytest
from nightferry.migrate import migrate
from nightferry.testing import camera
from psycopg.sql import SQL, Identifier, Literal

from tests.database import new_database, open_directory
from tests.sites import ledger, network
from tests.sites.ledger import Ledger
from tests.sites.network import Network
from tests.sites.three import PASSWORD, SATELLITE, SITES, Ground, ThreeSites
from tests.sshd import configured, make_key, sshd_program

FRAMES = 28
LATE = 0.15  # seconds that the satellite's way takes, each way


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """The hosts, and a server with the migrated database that each scene clones."""
    if reason := network.why_not() or ledger.why_not():
        pytest.skip(reason)
    program = sshd_program()
    with ExitStack() as ends:
        disks = ends.enter_context(open_directory(memory=True))
        hosts = Network(disks)
        ends.callback(hosts.close)
        server = Ledger(hosts["ledger"], ends.enter_context(open_directory(memory=True)))
        with psycopg.connect(server.dsn, autocommit=True) as owner:
            for site in SITES:
                made = SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                owner.execute(made.format(Identifier(site), Literal(PASSWORD)))
        keys = disks / "ssh"
        keys.mkdir()
        make_key(keys / "id")
        far = {}
        for site in ("center", "vault"):
            far[site] = configured(keys / site, site, 22, keys / "id")
            hosts[site].start(program, "-D", "-f", far[site].configuration)
        center = far["center"].known_hosts
        known = center.read_text()
        center.write_text(known + known.replace("center", f"[satellite]:{SATELLITE}", 1))
        late = ["-m", "tests.sites.delay", str(SATELLITE), "center:22", str(LATE)]
        hosts["dome"].start(sys.executable, *late)
        yield Ground(hosts, server, far, dict(camera.frames(count=FRAMES)))


@pytest.fixture(scope="session")
def sites_template(ground: Ground) -> Iterator[str]:
    with new_database(ground.ledger.dsn) as dsn:
        migrate(dsn)
        yield urlsplit(dsn).path[1:]


@pytest.fixture
def sites(ground: Ground, sites_template: str) -> Iterator[Callable[..., ThreeSites]]:
    """Makes the scene's observatory; its daemons are stopped and its links healed at the end."""
    with ExitStack() as ends:
        ends.callback(ground.network.heal)

        def make(routes: dict[str, dict[str, object]], archives: dict[str, str]) -> ThreeSites:
            dsn = ends.enter_context(new_database(ground.ledger.dsn, sites_template))
            scene = ThreeSites(ground, dsn, routes, archives)
            ends.callback(_emptied, scene)
            ends.callback(scene.close)
            scene.ask("SELECT trust_incarnation('a clone for a test')")
            return scene

        yield make


def _emptied(scene: ThreeSites) -> None:
    for site in SITES:
        shutil.rmtree(scene.config(site).parent)
