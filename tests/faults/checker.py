"""The independent checker: plain tar, SHA-256 and SQL say whether a night was kept. It imports nothing
of what it checks, and needs no more than the folder, the database and the hashes of the night.
"""

import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import psycopg

ROOTS = {
    "dome-source": "dome/source", "dome-buffer": "dome/buffer", "center-buffer": "center/buffer",
    "archive-a": "archive-a", "archive-b": "archive-b",
}  # fmt: skip
WORK = "center/work"  # where a request for the whole night is unpacked, if somebody has asked
ARCHIVES = ("archive-a", "archive-b")
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.part")
OURS = (".nightferry-location", ".nightferry")
# What is found wrong begins with one of these.
KINDS: Mapping[str, str] = {
    "lost": "frames or copies lost",
    "doubled": "doubled rows, jobs or copies",
    "partial": "names that show partial bytes",
    "unproven": "deletions that were not proven",
    "left": "temporary files or trash left behind",
    "unfinished": "not completed by itself",
    "broke": "broke the test itself",
}

NO_TWINS = {
    "two rows of one file": """SELECT location, path, sha256 FROM raw_data_file
      GROUP BY 1, 2, 3 HAVING count(*) > 1""",
    "a file in two packages": """SELECT m.file FROM package_member m JOIN raw_data_package p
      ON p.id = m.package AND p.state <> 'dissolved' GROUP BY 1 HAVING count(*) > 1""",
    "two packages of the same files": """SELECT members FROM (
      SELECT array_agg(m.file ORDER BY m.file) AS members FROM package_member m GROUP BY m.package)
      AS of_package GROUP BY 1 HAVING count(*) > 1""",
    "two copies of one thing at a place": """SELECT location, coalesce(package, file)
      FROM physical_copy WHERE state IN ('arriving', 'present', 'suspect', 'deleting')
      GROUP BY 1, 2 HAVING count(*) > 1""",
    "two jobs of one kind and subject": "SELECT kind, subject FROM job GROUP BY 1, 2 HAVING count(*) > 1",
    "a job that was finished twice": "SELECT id FROM job_done GROUP BY 1 HAVING count(*) > 1",
    "a file that was calibrated twice": """SELECT file FROM calibration GROUP BY file, part
      HAVING count(*) > 1""",
    "two open deletions of one thing": """SELECT coalesce(package, file) FROM deletion
      WHERE closed IS NULL GROUP BY 1 HAVING count(*) > 1""",
}  # fmt: skip
# Deleted, and not: two archives were read in full and well, after the nomination and before the end.
UNPROVEN = """
SELECT dc.copy FROM deletion_copy dc JOIN deletion d ON d.id = dc.deletion
WHERE dc.stage = 'deleted' AND 2 > (
  SELECT count(DISTINCT l.failure_domain) FROM physical_copy c
  JOIN data_location l ON l.name = c.location AND l.type = 'LONG_TERM_ARCHIVE'
  JOIN verification v ON v.copy = c.id AND v.outcome = 'good' AND v.began >= d.nominated AND v.ended <= dc.changed
  WHERE coalesce(c.package, c.file) = coalesce(d.package, d.file))
"""
# Whoever asks the ledger is told so, and nothing good has its name yet.
TOLD_CORRUPT = """
SELECT bad.location, bad.path FROM physical_copy bad WHERE bad.state = 'corrupt' AND NOT EXISTS (
  SELECT FROM physical_copy good WHERE good.location = bad.location AND good.package = bad.package AND good.state = 'present')
"""
# What gave way to a good copy is kept by that one's id.
REPLACED = """
SELECT good.location, good.id, p.path, good.sha256 FROM physical_copy good JOIN raw_data_package p ON p.id = good.package
WHERE EXISTS (SELECT FROM physical_copy bad WHERE bad.package = good.package AND bad.location = good.location AND bad.state = 'corrupt')
"""
LEDGER = """
SELECT 'files', count(*)::text FROM raw_data_file WHERE replaced_by IS NULL
UNION ALL SELECT 'files in packages', count(*)::text FROM package_member
UNION ALL SELECT location || ', ' || c.state, sum(coalesce(p.members, 1))::text FROM physical_copy c
  LEFT JOIN raw_data_package p ON p.id = c.package
  WHERE c.state IN ('arriving', 'present', 'suspect', 'deleting', 'deleted') GROUP BY location, c.state
UNION ALL SELECT location || ', not read lately', count(*)::text FROM physical_copy c
  WHERE c.state = 'present' AND location LIKE 'archive%' AND NOT EXISTS (SELECT FROM verification v
    WHERE v.copy = c.id AND v.outcome = 'good' AND v.ended > now() - interval '70 days') GROUP BY location
UNION ALL SELECT 'open bundles', count(*)::text FROM data_transfer_package WHERE closed IS NULL
UNION ALL SELECT 'deletions ' || state, count(*)::text FROM deletion WHERE closed IS NULL GROUP BY state
UNION ALL SELECT 'blocked ' || kind, count(*)::text FROM blocked GROUP BY kind
UNION ALL SELECT 'in quarantine', count(*)::text FROM quarantine WHERE released IS NULL
UNION ALL SELECT 'staged: ' || state, count(*)::text FROM staged_package GROUP BY state
UNION ALL SELECT 'requests: ' || state, count(*)::text FROM staging GROUP BY state
UNION ALL SELECT 'calibrations, ' || k.state || ', ' || (t.calibration IS NOT NULL), count(*)::text FROM calibration k
  LEFT JOIN calibration_table t ON t.calibration = k.id GROUP BY k.state, t.calibration IS NOT NULL
UNION ALL SELECT 'magnitudes of targets', count(*)::text FROM reduced_datum WHERE superseded IS NULL
UNION ALL SELECT 'lost', count(*)::text FROM lost_file
UNION ALL SELECT 'jobs ' || kind, count(*)::text FROM job
  WHERE subject NOT LIKE 'temporaries@%' GROUP BY kind -- a look for those is due now and then
"""


Database = str | psycopg.Connection  # where it is, or a session with it that is open


def ledger(database: Database) -> dict[str, str]:
    """What the ledger holds, in counts of frames: equal for two nights that ended alike.

    Not of packages: a frame that could not be read while it was packed comes in a later one.
    """
    with _session(database) as connection:
        return {str(k): str(v) for k, v in connection.execute(LEDGER.encode()).fetchall()}


def at_any_moment(folder: Path, database: Database, frames: Mapping[str, str]) -> list[str]:
    """What must hold however far the night has come. ``frames``: the SHA-256 by path."""
    with _session(database) as connection:
        rows = connection.execute(
            "SELECT path, sha256 FROM raw_data_package WHERE sha256 IS NOT NULL"
        )
        packages = {str(path): str(digest) for path, digest in rows.fetchall()}
        loose = {
            (str(place), str(path)): str(digest) for place, path, digest in connection.execute(
                "SELECT location, path, sha256 FROM physical_copy WHERE file IS NOT NULL")
        }  # fmt: skip
        told = {
            (str(place), str(path)) for place, path in connection.execute(TOLD_CORRUPT.encode())
        }
        wrong = [
            f"doubled: {what}: {rows[:3]}"
            for what, query in NO_TWINS.items()
            if (rows := connection.execute(query.encode()).fetchall())
        ]
        if unproven := connection.execute(UNPROVEN.encode()).fetchall():
            wrong.append(f"unproven: deleted, and not proven elsewhere: {unproven}")
    held = {place: set(_held(folder / root, packages)) for place, root in ROOTS.items()}
    for path, digest in frames.items():
        at_source = folder / ROOTS["dome-source"] / path
        if at_source.is_file():
            if sum_of(at_source) != digest:
                wrong.append(f"lost: {path}: changed at the source")
        elif not (_in_trash(folder / ROOTS["dome-source"], digest)) and not all(
            digest in held[archive] for archive in ARCHIVES
        ):
            wrong.append(f"lost: {path}: not at the source, and not in both archives")
    for place, root in ROOTS.items():
        if place != "dome-source":
            wrong += _partial(place, folder / root, packages, loose, told)
    return [*wrong, *_half_ready(folder / WORK, frames)]


def at_the_end(folder: Path, database: Database) -> list[str]:
    """What must hold once all has been done and each place was swept."""
    wrong = []
    with _session(database) as connection:
        copies = connection.execute(
            "SELECT location, path, sha256, size, state::text FROM physical_copy"
        )
        told = connection.execute(
            "SELECT location, detail ->> 'path' FROM event WHERE what = 'sidecar corrupt'"
        )
        bad_sidecars = set(told.fetchall())
        replaced = connection.execute(REPLACED.encode())
        bad_copies = {(place, str(token), path): digest for place, token, path, digest in replaced}
        rows = copies.fetchall()
        said_bad = {(place, path) for place, path, _, _, state in rows if state == "corrupt"}
        for place, path, digest, size, state in rows:
            there = folder / ROOTS[place] / path
            if state == "present":
                if not there.is_file():
                    wrong.append(f"lost: {place}:{path}: present in the ledger, and not there")
                elif (there.stat().st_size, sum_of(there)) != (size, digest):
                    wrong.append(
                        f"partial: {place}:{path}: present in the ledger, with other bytes"
                    )
    for place, root in {**ROOTS, "center-work": WORK}.items():
        for path in _files(folder / root):
            if TEMPORARY.fullmatch(path.name):
                wrong.append(f"left: {place}: a temporary file: {path.name}")
        for path in (folder / root / ".nightferry").rglob("*"):
            # kept by its token, for a person: .nightferry/set-aside/TOKEN/PATH
            kept = path.relative_to(folder / root).parts
            told_of = kept[1] == "set-aside" and (place, "/".join(kept[3:])) in bad_sidecars
            what = (place, kept[2], "/".join(kept[3:]).removesuffix(".sha256")) if kept[3:] else ()
            if kept[1] == "set-aside" and what in bad_copies:
                told_of = path.suffix == ".sha256" or (
                    sum_of(path) != bad_copies[what] and (place, "/".join(kept)) in said_bad
                )
            if path.is_file() and not told_of:
                wrong.append(f"left: {place}: in the trash: {path}")
    return wrong


@contextmanager
def _session(database: Database) -> Iterator[psycopg.Connection]:
    if isinstance(database, str):
        with psycopg.connect(database) as connection:
            yield connection
    else:
        yield database


def _partial(
    place: str,
    root: Path,
    packages: Mapping[str, str],
    loose: Mapping[tuple[str, str], str],
    told: set[tuple[str, str]],
) -> Iterator[str]:
    """Names that a reader would take for whole, and whose bytes are not; less those that the ledger
    has ``told`` to be corrupt."""
    for path in _files(root):
        name = str(path.relative_to(root))
        if TEMPORARY.fullmatch(path.name):
            continue
        if name.endswith(".sha256"):
            digest = packages.get(name.removesuffix(".sha256"))
            if digest is None and not name.startswith("old/"):
                yield f"partial: {place}: {name} is the sidecar of no package that anybody knows"
            elif f"{digest}  {Path(name).name.removesuffix('.sha256')}\n" not in path.read_text():
                yield f"partial: {place}: {name} does not name its package's bytes"
        elif name in packages:
            if sum_of(path) != packages[name] and (place, name) not in told:
                yield f"partial: {place}: {name} is not whole"
        elif (place, name) in loose:
            if sum_of(path) != loose[place, name]:
                yield f"partial: {place}: {name} is not whole"
        elif not name.startswith("old/"):  # what lay there before us, and is not adopted yet
            yield f"partial: {place}: {name} is known to nobody"


def _half_ready(root: Path, frames: Mapping[str, str]) -> Iterator[str]:
    """What a request that says it is done has not."""
    if any((root / "requests").glob("*/.done")):
        there = {sum_of(path) for path in _files(root / "staged")}
        for path in sorted(p for p, digest in frames.items() if digest not in there):
            yield f"partial: a request is done, and {path} is not there whole"


def _held(root: Path, packages: Mapping[str, str]) -> Iterator[str]:
    """The hashes of the frames that whole packages below ``root`` hold."""
    for name, digest in packages.items():
        path = root / name
        if path.is_file() and sum_of(path) == digest:
            with tarfile.open(path) as tar:
                for member in tar:
                    content = tar.extractfile(member)
                    if member.name.count("/data/") and content is not None:
                        yield sha256(content.read()).hexdigest()


def _in_trash(root: Path, digest: str) -> bool:
    trash = root / ".nightferry" / "trash"
    return any(p.is_file() and sum_of(p) == digest for p in trash.rglob("*"))


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.relative_to(root).parts[0] not in OURS:
            yield path


def sum_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def difference(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """In words, where the counts of two ledgers differ; "" if they do not."""
    keys = [k for k in Counter([*expected, *found]) if expected.get(k, "0") != found.get(k, "0")]
    return "; ".join(f"{k}: {found.get(k, 0)} and not {expected.get(k, 0)}" for k in sorted(keys))
