"""The man pages say what the commands and daemons say of themselves, and man can show them."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.manpages import FOLDER, pages
from tests.systemd.conftest import build_wheel

PAGES = pages()


def test_the_pages_are_those_of_the_program() -> None:
    there = {str(path.relative_to(FOLDER)): path.read_text() for path in FOLDER.rglob("*.[18]")}
    assert there == PAGES, "run: python -m tests.manpages"


def test_every_command_and_daemon_has_one() -> None:
    assert {"man1/nf.1", "man1/nf-status.1", "man1/nf-install.1", "man8/nightferry-reap.8"} <= set(
        PAGES
    )


def test_a_wheel_brings_every_page_to_where_man_looks(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling is not installed here")
    build_wheel(tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        brought = {
            name.partition(".data/data/share/man/")[2]: opened.read(name).decode()
            for name in opened.namelist()
            if "/share/man/" in name
        }
    assert brought == PAGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_man_can_show_it(name: str) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not on this machine (Debian package groff-base)")
    shown = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", FOLDER / name], capture_output=True, text=True
    )
    assert (shown.returncode, shown.stderr) == (0, "")
