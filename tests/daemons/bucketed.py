"""An archive in a bucket, for the tests of what the daemons do over it."""

from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner
from nightferry.cli import nf as commands
from nightferry.rights import asker
from nightferry.stores.s3 import S3Store

from tests.daemons.ground import Ground, ground
from tests.object_server import Server


def archived_in(objects: Server, database: str, tmp_path: Path) -> Iterator[Ground]:
    """Three frames, safe at two archives: archive-b is a bucket."""
    objects.new_bucket()
    prefix = f"{tmp_path.name}/"
    settings = objects.settings("plain", prefix=prefix)
    made = ground(tmp_path, database, buckets={"archive-b": (settings, objects.key_file)})
    made.frames(3)
    made.travel()
    made.ask("UPDATE raw_data_file SET owner = %s", asker())
    yield made
    made.db.close()


def bucket(site: Ground, objects: Server) -> S3Store:
    store, _ = site.sites.buckets["archive-b"]
    return S3Store("archive-b", objects.bucket("archive-b", "plain", prefix=store["prefix"]))


def nf(site: Ground, *words: str) -> str:
    config = str(site.sites.config("center"))
    done = CliRunner().invoke(commands, ["--config", config, *words], catch_exceptions=False)
    return " ".join(done.output.split())
