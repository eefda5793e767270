"""sql/schema.sql: the whole schema on one page, for reading. What is run are the migrations.

``python -m nightferry.schema`` (bin/schema) writes it: a fresh embedded server, all migrations, and
pg_dump. A test proves that it equals them.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from nightferry import sql
from nightferry.embedded import Embedded
from nightferry.embedded.binaries import MAJOR, PACKAGE
from nightferry.errors import ConfigError
from nightferry.migrate import migrate

HEADER = """\
-- The whole schema, for reading: what the migrations make, as pg_dump writes it. Never run, never
-- edited: bin/schema writes it again after a migration was added.
"""
# What says how the dump was made, not what the schema is.
_NOISE = re.compile(r"^(--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict)")


def dump(dsn: str) -> str:
    """The schema of the database ``dsn`` as text, the same for the same schema.

    Raises:
        ConfigError: pg_dump is not installed.
        subprocess.CalledProcessError: it failed; its stderr says why.
    """
    # One month's history partitions are named by the calendar: they are no part of the schema.
    options = ("--schema-only", "--no-owner", "--exclude-table=job_done_2*")
    ran = subprocess.run(
        [_pg_dump(), *options, f"--dbname={dsn}"], capture_output=True, text=True, check=True
    )
    lines = [line for line in ran.stdout.splitlines() if not _NOISE.match(line)]
    return HEADER + "\n" + re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def file() -> Path:
    return sql.folder() / "schema.sql"


def _pg_dump() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError(f"pg_dump comes with the package {PACKAGE}, which is not installed")
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin" / "pg_dump"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightferry-schema-") as place:
        Path(place).chmod(0o711)  # started as root, the server's user has to enter it
        with Embedded(Path(place), durable=False) as server:
            migrate(server.dsn)
            text = dump(server.dsn)
    file().write_text(text, encoding="utf-8")
    sys.stdout.write(f"{file()}: {len(text.splitlines())} lines\n")


if __name__ == "__main__":
    main()
