"""What all commands share on the screen."""

from datetime import timedelta
from pathlib import Path

import pytest
from nightferry.cli import show

from tests.typed import Nf


def test_a_table_never_is_wider_than_the_screen_and_loses_nothing() -> None:
    rows = [("a" * 150, "short", "words " * 30), ("b", "c", "d")]
    text = show.table(rows, ("ONE", "TWO", "THREE"))
    assert max(map(len, text.split("\n"))) <= 100
    assert text.count("a") == 150
    assert text.count("words") == 30


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    text = show.table([("x", "5 B"), ("yy", "41.4 MB")], ("NAME", "SIZE"))
    assert text == "NAME     SIZE\nx         5 B\nyy    41.4 MB"


def test_what_a_terminal_would_obey_is_shown_instead_and_the_ledgers_own_text_stays() -> None:
    assert show.safe("a\x1b[2Jb\n") == "a%1B[2Jb%0A"
    assert show.safe("100%25 müde.fits") == "100%25 müde.fits"


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (41_400_000, "41.4 MB"),
     (999_960, "1.0 MB"), (5 * 10**12, "5.0 TB"), (None, "-")],
)  # fmt: skip
def test_sizes(n: int | None, text: str) -> None:
    assert show.size(n) == text


@pytest.mark.parametrize(
    ("gone", "text"),
    [(timedelta(seconds=35), "35 s"), (timedelta(minutes=4), "4 min"), (timedelta(hours=3), "3 h"),
     (timedelta(days=12), "12 d"), (timedelta(seconds=-5), "0 s"), (None, "-")],
)  # fmt: skip
def test_ages(gone: timedelta | None, text: str) -> None:
    assert show.age(gone) == text


def test_the_next_command_is_as_a_shell_takes_it() -> None:
    assert show.command("nf", "why", "it's a.fits") == """nf why 'it'"'"'s a.fits'"""


def test_help_is_one_page_and_needs_neither_configuration_nor_database(tmp_path: Path) -> None:
    nf = Nf("host=/nowhere", tmp_path)
    pages = [nf("help").out, nf("--help").out, nf().out]
    assert len(set(pages)) == 1
    assert pages[0].count("\n") <= 40
    assert all(word in pages[0] for word in ("Is it safe?", "Where?", "Why?", "Stop!"))


def test_a_word_that_is_nearly_a_command_is_guessed(tmp_path: Path) -> None:
    answer = Nf("host=/nowhere", tmp_path)("nigth")
    assert answer.code == 3
    assert "nf night?" in answer.err


def test_a_missing_configuration_is_one_sentence_with_what_to_do(tmp_path: Path) -> None:
    nf = Nf("x", tmp_path)
    nf.config.unlink()
    answer = nf("status")
    assert answer.code == 3
    assert str(nf.config) in answer.err
    assert answer.err.count("\n") == 1


def test_every_command_tells_its_exit_codes(tmp_path: Path) -> None:
    nf = Nf("host=/nowhere", tmp_path)
    for word in ("status", "night", "why", "safe", "find"):
        assert "Exit codes: 0 yes or done, 1 no, 2 cannot tell" in nf(word, "--help").words
