"""A file that no package can hold stops no other."""

import os
from pathlib import Path

from tests.daemons.ground import Ground, frame


def deep_file(root: Path, content: bytes) -> None:
    """A file whose path is as long as the system takes, made step by step."""
    directory = os.open(root, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 200, dir_fd=directory)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    file = os.open("f" * 65 + ".fits", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=directory)
    os.write(file, content)
    os.close(file)
    os.close(directory)


def test_a_path_too_long_for_a_package_is_quarantined_and_the_night_goes_on(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1))
    deep_file(two_sites.source, frame(2))
    two_sites.travel()
    assert two_sites.one("SELECT count(*) FROM raw_data_file") == 2
    (odd,) = two_sites.ask("SELECT path, reason FROM quarantine WHERE released IS NULL")
    assert odd.path.endswith("f.fits")
    assert "name" in odd.reason
    held = two_sites.one(
        "SELECT count(*) FROM raw_data_file f JOIN safety s ON s.subject = archived_as(f.id) WHERE f.path = 'f1.fits' AND s.proven = 2"
    )
    assert held == 1
    assert two_sites.answer().startswith("NO")
