"""Another program's word on a night that is over: do the ledger and the disks agree with what was taken?

    python independent.py --dsn DSN --frames FRAMES --place NAME=TYPE=FOLDER ...

FRAMES lists what the camera wrote, as ``sha256sum`` does. It reads the disks with ``tar`` and
``sha256sum``, the ledger with SQL, and imports nothing of what it checks. It prints each difference
and how many there are; its status is 1 if there are any.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import psycopg

OURS = (b".nightferry", b".nightferry-location")
ARCHIVE, SOURCE = "LONG_TERM_ARCHIVE", "SOURCE"
# What must be empty once a night is over, and what a row of it means.
NOTHING_OPEN = {
    # Looking for temporary files is never over.
    "a job is left": """SELECT kind, subject, state::text, error FROM job
      WHERE subject NOT LIKE 'temporaries@%'""",
    "work is blocked": "SELECT kind, subject, reason FROM blocked",
    "in quarantine": "SELECT location, path, reason FROM quarantine WHERE released IS NULL",
    "lost": "SELECT f.path, l.how FROM lost_file l JOIN raw_data_file f ON f.id = l.file",
    "a deletion is open": "SELECT id, state::text FROM deletion WHERE closed IS NULL",
    "a transfer is open": "SELECT id, route FROM data_transfer_package WHERE closed IS NULL",
    "a package is not packed": "SELECT name, state::text FROM raw_data_package WHERE state::text <> 'packed'",
    "a copy is neither there nor deleted": """SELECT location, path, state::text FROM physical_copy
      WHERE state::text NOT IN ('present', 'deleted')""",
    "a file in no package": """SELECT path FROM raw_data_file f
      WHERE NOT EXISTS (SELECT FROM package_member m WHERE m.file = f.id)""",
    "a file in two packages": "SELECT file FROM package_member GROUP BY file HAVING count(*) > 1",
    "a job finished twice": "SELECT id, kind, subject FROM job_done GROUP BY 1, 2, 3 HAVING count(*) > 1",
    "an archived copy that nobody has read well": """SELECT c.location, c.path FROM physical_copy c
      JOIN data_location l ON l.name = c.location AND l.type::text = 'LONG_TERM_ARCHIVE'
      WHERE c.state::text = 'present' AND NOT EXISTS (SELECT FROM verification v
        WHERE v.copy = c.id AND v.outcome::text = 'good' AND (v.sha256, v.size) = (c.sha256, c.size))""",
    # Two archives that fail apart were read in full, after the nomination and before the end.
    "deleted unproven": """SELECT c.location, c.path FROM physical_copy c WHERE c.state::text = 'deleted'
      AND NOT EXISTS (SELECT FROM deletion_copy dc JOIN deletion d ON d.id = dc.deletion WHERE dc.copy = c.id
        AND 2 <= (SELECT count(DISTINCT l.failure_domain) FROM physical_copy a
          JOIN data_location l ON l.name = a.location AND l.type::text = 'LONG_TERM_ARCHIVE'
          JOIN verification v ON v.copy = a.id AND v.outcome::text = 'good' AND v.sha256 = a.sha256
            AND v.began >= d.nominated AND v.ended <= dc.changed
          WHERE a.package = d.package))""",
}  # fmt: skip


def main() -> int:
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("--dsn", required=True)
    given.add_argument("--frames", required=True, type=Path)
    given.add_argument("--place", action="append", default=[], help="NAME=TYPE=FOLDER")
    arguments = given.parse_args()
    places = [tuple(text.split("=", 2)) for text in arguments.place]
    taken = Counter(_frames(arguments.frames.read_bytes()))
    with psycopg.connect(arguments.dsn) as ledger:
        differences = list(_all(ledger, places, taken))
    for difference in differences:
        print(difference)
    print(f"{len(differences)} differences in {taken.total()} frames at {len(places)} places")
    return 1 if differences else 0


def _all(ledger: Any, places: list[Any], taken: Counter[Any]) -> Iterator[str]:
    for what, query in NOTHING_OPEN.items():
        yield from (f"{what}: {row}" for row in ledger.execute(query).fetchall())
    rows = ledger.execute("SELECT path, sha256 FROM raw_data_file").fetchall()
    known = Counter((unquote_to_bytes(path), digest) for path, digest in rows)
    yield from _compare("the camera", taken, "the ledger", known)
    of_packages = Counter(
        (unquote_to_bytes(path), digest) for path, digest in ledger.execute(
            "SELECT p.path, f.sha256 FROM raw_data_package p JOIN package_member m ON m.package = p.id"
            " JOIN raw_data_file f ON f.id = m.file").fetchall()
    )  # fmt: skip
    held = []
    for name, kind, folder in places:
        root = Path(folder)
        disk = dict(_sums(root))
        yield from _ledger_and_disk(ledger, name, disk)
        if kind == SOURCE:
            left = Counter(disk.items())
            yield from (f"{name}: {key} is not what the camera wrote" for key in left - taken)
        else:
            inside = yield from _packages(name, root, disk)
            if kind == ARCHIVE:
                held.append(name)
                yield from _compare("the ledger's packages", of_packages, name, inside)
                wanted = Counter(digest for _, digest in taken.elements())
                has = Counter(digest for _, digest in inside.elements())
                yield from _compare("the camera", wanted, name, has)
    if len(held) < 2:
        yield f"only {len(held)} archives were looked at"


def _ledger_and_disk(ledger: Any, name: str, disk: dict[bytes, str]) -> Iterator[str]:
    rows = ledger.execute(
        "SELECT path, sha256, package IS NOT NULL FROM physical_copy"
        " WHERE location = %s AND state::text = 'present'", (name,),
    ).fetchall()  # fmt: skip
    copies = Counter((unquote_to_bytes(path), digest) for path, digest, _ in rows)
    sidecars = {unquote_to_bytes(path) + b".sha256" for path, _, package in rows if package}
    for sidecar in sorted(sidecars - disk.keys()):
        yield f"{name}: {sidecar!r} is not there"
    lying = Counter((path, digest) for path, digest in disk.items() if path not in sidecars)
    yield from _compare(f"the ledger's copies at {name}", copies, f"the disk of {name}", lying)


def _packages(
    name: str, root: Path, disk: Iterable[bytes]
) -> Iterator[str] | Any:  # yields differences, returns (package's path, SHA-256) of what is inside
    inside: Counter[tuple[bytes, str]] = Counter()
    for path in (p for p in disk if p.endswith(b".tar")):
        tar = root / path.decode()
        if said := _run(["sha256sum", "--check", "--quiet", f"{tar.name}.sha256"], tar.parent):
            yield f"{name}: {tar.name}.sha256: {said}"
        with tempfile.TemporaryDirectory() as scratch:
            if said := _run(["tar", "-xf", str(tar), "-C", scratch], tar.parent):
                yield f"{name}: {tar.name}: {said}"
                continue
            (bag,) = Path(scratch).iterdir()
            for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
                if said := _run(["sha256sum", "--check", "--quiet", "--strict", manifest], bag):
                    yield f"{name}: {tar.name}: {manifest}: {said}"
            files = Counter(digest for _, digest in _sums(bag / "data"))
            listed = (bag / "manifest-sha256.txt").read_text().splitlines()
            if files != Counter(line[:64] for line in listed):
                yield f"{name}: {tar.name} holds other files than its manifest lists"
            for digest, times in files.items():
                inside[path, digest] += times
    return inside


def _compare(one: str, left: Counter[Any], other: str, right: Counter[Any]) -> Iterator[str]:
    yield from (f"{one} has {n} of {key} more than {other}" for key, n in (left - right).items())
    yield from (f"{other} has {n} of {key} more than {one}" for key, n in (right - left).items())


def _sums(root: Path) -> Iterator[tuple[bytes, str]]:
    """Every file below ``root`` but our marker, with its SHA-256."""
    listed = subprocess.run(
        ["find", ".", "-type", "f", "-print0"], cwd=root, capture_output=True, check=True
    ).stdout
    names = [n[2:] for n in listed.split(b"\0")[:-1] if n[2:] != OURS[1]]
    for at in range(0, len(names), 500):
        some = [b"./" + name for name in names[at : at + 500]]
        done = subprocess.run(
            [b"sha256sum", b"--zero", b"--", *some], cwd=root, capture_output=True, check=True
        )
        for line in done.stdout.split(b"\0")[:-1]:
            yield line[66:].removeprefix(b"./"), line[:64].decode()


def _frames(text: bytes) -> Iterator[tuple[bytes, str]]:
    for line in text.splitlines():
        yield line[66:], line[:64].decode()


def _run(command: list[str], folder: Path) -> str:
    """ "" if it went well, else what it said."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
