"""Which way a package goes, by the rows alone: what the transfer agent and the archiver are asked."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.ledger import Ledger, Package

# The dome has one buffer, the centre two; the vault's archive is reached directly or over the centre.
_PLACES = """
INSERT INTO site (name) VALUES ('vault');
INSERT INTO data_location (name, site, type, failure_domain, priority) VALUES
  ('centre-spare', 'centre', 'BUFFER', 'centre-tent', 200),
  ('vault-buffer', 'vault', 'BUFFER', 'vault', 100),
  ('vault-c', 'vault', 'LONG_TERM_ARCHIVE', 'vault', 100);
INSERT INTO route (name, origin, destination) VALUES
  ('dome-spare', 'dome-buffer', 'centre-spare'),
  ('centre-vault', 'centre-buffer', 'vault-buffer'),
  ('spare-vault', 'centre-spare', 'vault-buffer');
INSERT INTO program_archive (location) VALUES ('vault-c');
"""
_STANDBY = "INSERT INTO route (name, origin, destination, priority) VALUES ('satellite', 'dome-buffer', 'vault-buffer', 200)"


class Ways:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        ledger.database.run(lambda tx: tx.driver.execute(_PLACES.encode()))
        self.package: Package = ledger.package(ledger.file("f1.fits"))

    def crossing(self) -> list[str]:
        return [r[0] for r in self.ledger.execute("SELECT route FROM crossing ORDER BY route")]

    def bundled(self) -> list[str]:
        found = self.ledger.database.run(lambda tx: tx.run("transfer.to_bundle", age=timedelta(0)))
        return [r.route for r in found]

    def bundle(self, route: str) -> None:
        self.ledger.execute(
            "WITH b AS (INSERT INTO data_transfer_package (route, priority, size) VALUES (%s, 100, 1) RETURNING id) "
            "INSERT INTO data_transfer_member (bundle, package) SELECT b.id, %s FROM b",
            route,
            self.package.id,
        )

    def open_bundles(self) -> list[str]:
        self.ledger.database.run(lambda tx: tx.run("transfer.close"))
        found = self.ledger.execute(
            "SELECT route FROM data_transfer_package WHERE closed IS NULL ORDER BY 1"
        )
        return [r[0] for r in found]

    def wanted(self) -> list[str]:
        """Where the archiver is to bring the package."""
        found = self.ledger.database.run(lambda tx: tx.run("archive.wanted"))
        return sorted(r.place for r in found)

    def at(self, *places: str) -> None:
        for place in places:
            self.ledger.copy(self.package, place)

    def gone(self, *places: str) -> None:
        self.ledger.execute(
            "UPDATE physical_copy SET state = 'deleting' WHERE location = ANY(%s)", list(places)
        )
        self.ledger.execute(
            "UPDATE physical_copy SET state = 'deleted' WHERE location = ANY(%s)", list(places)
        )

    def broken(self, *names: str) -> None:
        for name in names:
            self.ledger.execute(
                "INSERT INTO breaker (name, state) VALUES (%s, 'open') "
                "ON CONFLICT (name) DO UPDATE SET state = 'open'",
                name,
            )

    def whole(self, name: str) -> None:
        self.ledger.execute("UPDATE breaker SET state = 'closed' WHERE name = %s", name)


@pytest.fixture
def ways(database: str) -> Iterator[Ways]:
    ledger = Ledger(database).observatory()
    yield Ways(ledger)
    ledger.database.close()


def test_of_two_buffers_of_a_site_the_first_by_priority_is_sent_to(ways: Ways) -> None:
    ways.at("dome-buffer")
    assert ways.crossing() == ["dome-centre"]


def test_what_came_to_a_site_is_not_sent_to_its_other_buffer(ways: Ways) -> None:
    ways.at("dome-buffer", "centre-spare")
    assert ways.crossing() == ["spare-vault"]


@pytest.mark.parametrize("broken", ["dome-centre", "centre-buffer"])
def test_a_broken_route_or_place_is_gone_around(ways: Ways, broken: str) -> None:
    ways.at("dome-buffer")
    ways.broken(broken)
    assert ways.crossing() == ["dome-spare"]
    ways.whole(broken)
    assert ways.crossing() == ["dome-centre"]


def test_a_full_place_is_gone_around_until_there_is_room_again(ways: Ways) -> None:
    ways.at("dome-buffer")
    ways.ledger.execute(
        "INSERT INTO location_state (location, host, state, total_bytes, free_bytes, measured)"
        " SELECT 'centre-buffer', 'h1', 'available', 10 * package_size, package_size - 1, now() FROM policy"
    )
    ways.bundle("dome-centre")
    assert ways.crossing() == ways.bundled() == ["dome-spare"]
    ways.ledger.execute("UPDATE location_state SET measured = now() - interval '6 minutes'")
    assert ways.crossing() == ["dome-centre"], "nobody knows it any more"
    ways.ledger.execute("UPDATE location_state SET measured = now(), free_bytes = free_bytes + 1")
    assert ways.crossing() == ["dome-centre"]


def test_where_all_is_broken_the_first_is_waited_for(ways: Ways) -> None:
    ways.at("dome-buffer")
    ways.broken("dome-centre", "dome-spare")
    assert ways.crossing() == ["dome-centre"]


def test_a_drained_place_is_gone_around(ways: Ways) -> None:
    ways.at("dome-buffer")
    ways.ledger.execute("UPDATE data_location SET active = false WHERE name = 'centre-buffer'")
    assert ways.crossing() == ["dome-spare"]


def test_a_bundle_whose_route_broke_lets_go_of_its_packages(ways: Ways) -> None:
    ways.at("dome-buffer")
    ways.bundle("dome-centre")
    assert ways.bundled() == []
    ways.broken("dome-centre")
    assert ways.bundled() == ["dome-spare"]
    assert ways.open_bundles() == []


def test_two_routes_to_one_place_take_over_from_each_other(ways: Ways) -> None:
    ways.ledger.execute(
        "INSERT INTO route (name, origin, destination, priority) VALUES ('radio', 'dome-buffer', 'centre-buffer', 150)"
    )
    ways.ledger.execute("UPDATE route SET active = false WHERE name = 'dome-spare'")
    ways.at("dome-buffer")
    ways.bundle("dome-centre")
    ways.broken("dome-centre")
    assert ways.bundled() == ["radio"]
    ways.bundle("radio")
    assert ways.open_bundles() == ["radio"]
    assert ways.bundled() == []


def test_of_two_sites_that_could_send_a_package_one_does(ways: Ways) -> None:
    """The same package never comes over two routes at once."""
    ways.ledger.execute(_STANDBY)
    ways.ledger.execute("UPDATE route SET priority = 100 WHERE name = 'satellite'")
    ways.ledger.execute("UPDATE route SET priority = 150 WHERE name = 'dome-centre'")
    ways.at("dome-buffer", "centre-buffer")
    assert ways.crossing() == ["centre-vault", "satellite"]
    assert ways.bundled() == ["centre-vault"]
    ways.bundle("centre-vault")
    assert ways.bundled() == []


def test_a_standby_waits_until_the_relay_is_broken_anywhere(ways: Ways) -> None:
    ways.ledger.execute(_STANDBY)
    ways.at("dome-buffer")
    assert ways.crossing() == ["dome-centre"]
    ways.broken("vault-buffer", "centre-vault", "spare-vault")
    ways.whole("vault-buffer")
    assert ways.crossing() == ["dome-centre", "satellite"], (
        "the centre's own archives still want it"
    )


def test_a_package_does_not_come_back_to_where_it_was(ways: Ways) -> None:
    ways.ledger.execute(
        "INSERT INTO route (name, origin, destination, priority) VALUES ('back', 'centre-buffer', 'dome-buffer', 1)"
    )
    ways.at("centre-buffer")
    assert ways.crossing() == ["centre-vault"]


def test_each_site_with_an_archive_gets_it_when_several_are_led_to(ways: Ways) -> None:
    ways.ledger.execute("UPDATE route SET active = false WHERE name LIKE '%%-vault'")
    ways.ledger.execute(_STANDBY)
    ways.at("dome-buffer")
    assert ways.crossing() == ["dome-centre", "satellite"]


def test_what_a_far_archive_lost_is_fetched_from_the_nearest_site_that_has_it(ways: Ways) -> None:
    ways.at("dome-buffer", "centre-buffer", "vault-buffer", "vault-a", "vault-b", "vault-c")
    ways.gone("dome-buffer", "centre-buffer", "vault-buffer")
    assert ways.wanted() == []
    ways.gone("vault-c")
    assert ways.wanted() == ["centre-buffer"]
    ways.at("centre-buffer")
    assert ways.wanted() == []
    assert ways.crossing() == ["centre-vault"]


def test_a_drained_buffer_is_not_filled_again(ways: Ways) -> None:
    ways.at("vault-a", "vault-b")
    ways.ledger.execute("UPDATE data_location SET active = false WHERE name = 'centre-buffer'")
    assert ways.wanted() == ["centre-spare"]
