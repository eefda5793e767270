"""Nights over real links between hosts: whatever happens on the way, only the time is another."""

from collections.abc import Callable

import pytest
from nightferry.transports.rsync import SMALL

from tests.sites.cutting import cut
from tests.sites.three import SATELLITE, ThreeSites

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sites")]
Make = Callable[..., ThreeSites]

AT_THE_CENTER = {"room-a": "center", "room-b": "center"}
APART = {"room-a": "center", "far-room": "vault"}
TO_CENTER = {"from": "dome-buffer", "to": "center-buffer"}
TO_SPARE = {"from": "dome-buffer", "to": "center-spare"}
TO_VAULT = {"from": "dome-buffer", "to": "vault-buffer"}
ONWARD = {"from": "center-buffer", "to": "vault-buffer"}
SSH = 22
LARGE = SMALL + 4_000_000  # bytes of a package that rsync itself carries


def test_a_night_crosses_a_thin_link_that_loses_packets_and_is_cut(sites: Make) -> None:
    scene = sites({"link": TO_CENTER}, AT_THE_CENTER)
    network = scene.ground.network
    network.thin("8mbit")
    network.lose(1)
    scene.take()
    scene.start()
    with cut(scene):
        network.away(3)


def test_over_a_relay_the_thin_link_is_crossed_once(sites: Make) -> None:
    scene = sites({"link": TO_CENTER, "onward": ONWARD}, APART)
    network = scene.ground.network
    network.thin("8mbit")
    scene.take()
    scene.take_large(LARGE)
    scene.start()
    scene.wait_for(lambda: scene.partial("center-buffer") > LARGE // 3, "a third of it")
    with cut(scene):
        network.forget(SSH)  # whatever stands between has lost the connection
        arrived = scene.partial("center-buffer")
        assert LARGE // 3 < arrived < LARGE, "it was cut in the middle, and what came was kept"
    assert "The far host does not answer" in scene.said("dome")
    assert network.sent() < 1.3 * scene.size, f"{network.sent():,} of {scene.size:,}"


def test_a_night_goes_to_several_destinations_though_the_power_goes(sites: Make) -> None:
    scene = sites({"link": TO_CENTER, "long-link": TO_VAULT}, APART)
    network = scene.ground.network
    network.thin("8mbit")
    scene.take()
    scene.start()
    with cut(scene):
        scene.kill_at("dome")
        scene.start_at("dome")
    (tries,) = scene.ask("SELECT max(attempts) FROM job_done WHERE kind = 'transfer'")
    assert tries[0] >= 2, "what was under way at the dome was begun once more"
    assert network.sent() > 2 * scene.ground.size, "once to each"


def test_a_night_crosses_a_satellite_that_is_late_and_away_for_a_while(sites: Make) -> None:
    over = {**TO_CENTER, "settings": {"account": "root@satellite", "port": SATELLITE, "streams": 4}}
    scene = sites({"satellite": over}, AT_THE_CENTER)
    scene.ground.network.thin("8mbit")
    scene.take()
    scene.start()
    with cut(scene):
        scene.ground.network.away(3)


def test_where_the_first_buffer_is_away_the_second_takes_the_night(sites: Make) -> None:
    scene = sites({"first": TO_CENTER, "second": TO_SPARE}, AT_THE_CENTER)
    scene.ground.network.thin("16mbit")
    scene.take()
    scene.start()
    scene.await_safe()  # what waits at a buffer that goes away would wait for it
    scene.take_large(LARGE)
    scene.wait_for(lambda: scene.partial("center-buffer") > LARGE // 4, "a quarter of it")
    with scene.unmounted("center-buffer"):
        scene.wait_for(lambda: scene.partial("center-spare") > LARGE // 4, "a quarter, once more")
        with cut(scene):
            scene.ground.network.away(3)
        assert "present" in scene.copies("center-spare")
        code, told = scene.ask_nf("center", "routes")
        assert code == 1, told
        assert "first" in told
        assert "has no marker of center-buffer" in told
    scene.wait_for(lambda: scene.ask_nf("center", "routes")[0] == 0, "the first route, whole again")
    assert "open" in scene.nf("dome", "routes", "history", "first")


def test_a_drained_buffer_gets_nothing_new_and_the_night_goes_on(sites: Make) -> None:
    scene = sites({"first": TO_CENTER, "second": TO_SPARE}, AT_THE_CENTER)
    scene.ground.network.thin("8mbit")
    scene.take()
    scene.start()
    scene.await_part(0.3)
    scene.drain("center-buffer")
    with cut(scene):
        scene.ground.network.away(3)
    first, second = scene.copies("center-buffer"), scene.copies("center-spare")
    assert set(first) | set(second) == {"present"}
    assert len(second) >= 1
    assert len(first) + len(second) == scene.packages(), "no package was sent to both"


def test_the_database_takes_a_password_over_tls_of_its_own_name_and_nothing_else(
    sites: Make,
) -> None:
    scene = sites({"link": TO_CENTER}, AT_THE_CENTER)
    scene.nf("dome", "routes")
    for wrong, said in (
        ({"sslmode": "disable"}, "pg_hba.conf rejects"),
        ({"sslrootcert": scene.ground.ledger.other_authority}, "certificate verify failed"),
        ({"hostaddr": "10.77.3.2", "host": "center"}, "does not match host name"),
        ({"password": "guessed"}, "password authentication failed"),
    ):
        code, told = scene.ask_nf_with("dome", wrong, "routes")
        assert code != 0
        assert said in told
