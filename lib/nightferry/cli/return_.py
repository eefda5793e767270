"""nf return -- results that were made from archived data, into the archive as a data product."""

from pathlib import Path
from uuid import UUID

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import Row, Tx
from nightferry.errors import ConfigError
from nightferry.returning import Product, Returned, hand_in, request_of
from nightferry.stores import Store, open_store


@click.command(epilog=show.EXIT_CODES)
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--name", help="Left out: the folder's own name. No two products have the same.")
@click.option(
    "--from", "made_from", multiple=True, metavar="WHAT",
    help="What it was made from: a file, a package, an observation. Again for more.",
)  # fmt: skip
@click.option("--note", default="", help="What it is, for those who find it.")
@click.option("--to", "buffer", metavar="BUFFER", help="Left out: this host's first.")
@json_option
@pass_nf
def command(
    nf: Context,
    folder: Path,
    name: str | None,
    made_from: tuple[str, ...],
    note: str,
    buffer: str | None,
    as_json: bool,
) -> None:
    """Hands in the files of DIR, with all that lies below it, as one data product.

    It was made from what a request had staged, if DIR is a request's directory or lies in one; or
    from what --from names. Its files are read, compared and put down at a BUFFER that this host
    has; from there they are packed, archived and verified like all others. They are as closed as
    what they were made from. DIR is only read; remove it when nf night says that they are safe.

    JSON: {"product", "name", "location", "night", "files", "bytes", "sources", "owner",
    "public_after"}
    """
    staging = None if made_from else request_of(folder)
    sources = nf.db.run(lambda tx: _sources(nf, tx, staging, made_from))
    product = Product(folder, name or folder.resolve().name, sources, staging, note)
    store = _buffer(nf, buffer)
    try:
        done = hand_in(nf.db, product, store, nf.config.instruments)
    finally:
        store.close()
    if as_json:
        show.emit_json(_document(product, store.location, done))
        return
    whose = f"of {done.owner}" if done.owner else "of an unknown owner, and so closed"
    public = f", public after {done.public_after:%Y-%m-%d}" if done.public_after else ""
    show.verdict(
        f"{product.name}: {show.count(done.files, 'file')}, {show.size(done.size)}, made from "
        f"{show.count(len(sources), 'file')} of night {done.night}; {whose}{public}. Not safe yet: "
        f"it is put down at {store.location}, to be verified, packed and archived.",
        show.command("nf", "find", "--product", product.name),
    )


def _sources(nf: Context, tx: Tx, staging: UUID | None, words: tuple[str, ...]) -> list[UUID]:
    if staging is not None:
        return sorted({row.id for row in tx.run("return.of_staging", staging=staging)})
    return sorted({row.id for word in words for row in _meant(nf, tx, word)})


def _meant(nf: Context, tx: Tx, word: str) -> list[Row]:
    if (observation := named.one_observation(tx, word)) is not None:
        return tx.run("return.of_observation", observation=observation.id)
    if (package := named.one_package(tx, word)) is not None:
        return tx.run("return.of_package", package=package.id)
    if (file := named.one_file(nf, tx, word)) is not None:
        return [file]
    named.unknown("file, package or observation", word)


def _buffer(nf: Context, wanted: str | None) -> Store:
    rows = nf.db.run(lambda tx: tx.run("return.buffers", mounted=list(nf.config.locations)))
    found = next((row for row in rows if wanted in (None, row.name)), None)
    if found is None:
        known = ", ".join(row.name for row in rows) or "none"
        raise ConfigError(
            f"{wanted or 'nothing here'} is no active BUFFER that this host has mounted; "
            f"there are: {known}"
        )
    settings = {**found.store, "path": nf.config.locations[found.name], "marker": found.marker}
    if found.reserve is not None:
        settings["reserve"] = found.reserve
    return open_store("posix", found.name, settings)


def _document(product: Product, location: str, done: Returned) -> dict[str, object]:
    return {
        "product": done.product,
        "name": product.name,
        "location": location,
        "night": done.night,
        "files": done.files,
        "bytes": done.size,
        "sources": len(product.sources),
        "owner": done.owner,
        "public_after": done.public_after,
    }
