"""nf roles: which host's database user may write about which places."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.ledger import Ledger
from tests.typed import Nf


@pytest.fixture
def role(server: str) -> Iterator[str]:
    name = f"nightferry-dome-{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(SQL("CREATE ROLE {}").format(Identifier(name)))
    yield name
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.fixture
def nf(role: str, database: str, tmp_path: Path) -> Nf:
    Ledger(database).observatory()
    return Nf(database, tmp_path)


def test_a_host_is_granted_its_places_and_no_deletion(nf: Nf, role: str) -> None:
    granted = nf("roles", "grant", role, "--locations", "dome-disk,dome-buffer")
    assert granted.last.endswith("and may delete nothing.")
    assert nf.json("roles", "list") == [
        {"role": role, "reaps": False, "locations": ["dome-buffer", "dome-disk"]}
    ]


def test_granting_again_changes_the_places(nf: Nf, role: str) -> None:
    nf("roles", "grant", role, "--locations", "dome-disk")
    nf("roles", "grant", role, "--locations", "dome-buffer", "--reaper")
    assert nf.json("roles", "list") == [{"role": role, "reaps": True, "locations": ["dome-buffer"]}]
    assert "dome-buffer yes" in nf("roles", "list").words


def test_an_unknown_user_or_place_is_refused(nf: Nf, role: str) -> None:
    no_user = nf("roles", "grant", "nobody-of-that-name", "--locations", "dome-disk")
    assert (no_user.code, "CREATE ROLE" in no_user.err) == (3, True)
    no_place = nf("roles", "grant", role, "--locations", "dome-desk")
    assert (no_place.code, "no location dome-desk" in no_place.err) == (3, True)
