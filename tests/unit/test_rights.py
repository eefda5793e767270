"""Who may see what: by who really asks, never by what a variable says."""

import grp
import pwd
from datetime import UTC, datetime

import pytest
from nightferry import rights
from nightferry.errors import NightferryError
from nightferry.rights import Rights, asker, check_seen, names_of

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system says that nobody asks; every variable says that it is somebody else."""
    monkeypatch.setattr(rights.os, "getuid", lambda: NOBODY.pw_uid)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")


@pytest.mark.usefixtures("as_nobody")
def test_a_variable_does_not_make_an_owner() -> None:
    assert asker() == "nobody"
    with pytest.raises(
        NightferryError, match=r"a.fits may not be seen by nobody: of somebody-else"
    ):
        check_seen([Rights("a.fits", ["somebody-else"])])


def test_what_sudo_says_counts_where_it_made_us_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights.os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "observer")
    assert asker() == "observer"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setenv("LOGNAME", "observer")
    assert asker() == "root"


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights.os, "getuid", lambda: 4_000_000)
    assert asker() == "uid 4000000"
    assert names_of("uid 4000000") == {"uid 4000000"}


@pytest.mark.usefixtures("as_nobody")
def test_members_of_the_group_of_that_name_may_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    group = grp.getgrgid(NOBODY.pw_gid).gr_name  # the group that the account is made with
    assert check_seen([Rights("a.fits", [group])]) is False
    survey = grp.struct_group(("survey", "x", 70_001, ["nobody"]))
    monkeypatch.setattr(rights.grp, "getgrall", lambda: [survey])
    with pytest.raises(NightferryError, match="of survey"):
        check_seen([Rights("a.fits", ["survey"])])
    monkeypatch.setattr(rights.os, "getgrouplist", lambda user, gid: [gid, 70_001])
    assert check_seen([Rights("a.fits", ["survey"]), Rights("b.fits", ["nobody"])]) is False
    with pytest.raises(NightferryError, match=r"b.fits may not be seen by nobody: of pi"):
        check_seen([Rights("a.fits", ["survey"]), Rights("b.fits", ["survey", "pi"])])


@pytest.mark.usefixtures("as_nobody")
def test_an_unknown_owner_is_closed_and_what_is_public_is_open() -> None:
    with pytest.raises(NightferryError, match="of an unknown owner"):
        check_seen([Rights("a.fits", [""])])
    later = datetime(2100, 1, 1, tzinfo=UTC)
    with pytest.raises(NightferryError, match=r"of pi, public after 2100-01-01"):
        check_seen([Rights("a.fits", ["pi"], later)])
    assert check_seen([Rights("a.fits", [], datetime(2020, 1, 1, tzinfo=UTC))]) is False
    assert check_seen([Rights("a.fits", ["pi"], later)], "a check of the focus") is True
