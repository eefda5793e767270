"""bin/bench as a command: what it says of a bound that is missed, and how it ends."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tests.bench import __main__ as command
from tests.bench.lines import Line, Result

LINE = Line("a line", "ours", "a peer", "s", "at most", 1.15)


def ends(monkeypatch: pytest.MonkeyPatch, ratio: float, *words: str) -> tuple[int, str]:
    """How it ends where the only line is measured so."""
    found = Result(LINE, ratio, 1.0, ratio, 3)
    monkeypatch.setattr(command, "Ground", lambda *_: nullcontext())
    measured = SimpleNamespace(measure=lambda ground: iter([found]))
    monkeypatch.setattr(command, "import_module", lambda name: measured)
    done = CliRunner().invoke(command.bench, ["jobs", *words])
    return done.exit_code, done.stdout


def test_a_bound_that_is_missed_ends_with_1_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = ends(monkeypatch, 1.2)
    assert code == 1
    assert "not reached" in said
    assert "0 of 1 bounds reached; not: a line" in said
    code, said = ends(monkeypatch, 1.2, "--json")
    assert code == 1
    assert json.loads(said)[0]["reached"] is False


def test_where_all_are_reached_it_ends_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = ends(monkeypatch, 1.1)
    assert (code, "not reached" in said) == (0, False)


def test_its_help_says_how_it_ends() -> None:
    said = " ".join(CliRunner().invoke(command.bench, ["--help"]).stdout.split())
    assert "Ends with 1 where a bound is not reached" in said
