"""All that the ledger knows of one file or package: what ``nf why`` tells."""

import os
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from nightferry.db import Row, Tx
from nightferry.names import to_text
from nightferry.wording import count


@dataclass(frozen=True)
class Story:
    """All that the ledger knows of one file or package: the rows of sql/why.sql."""

    file: Row | None
    package: Row | None
    copies: list[Row]
    members: list[Row]  # of a package: its loose files by place and state
    clauses: dict[UUID, list[Row]]  # of each copy outside the archives that is still there
    deletions: list[Row]
    proofs: list[Row]
    holds: list[Row]
    blocked: list[Row]
    quarantine: list[Row]
    versions: list[Row]
    linked: list[Row]
    product: Row | None  # the data product that it is of
    products: list[Row]  # made from it

    @property
    def about(self) -> Row:
        about = self.file if self.file is not None else self.package
        assert about is not None
        return about

    @property
    def places(self) -> list[tuple[UUID, str, str, str]]:
        """(copy, location, state, whose) of all that may be asked whether it goes, and that is no
        archive's; one for a package's files."""
        found = [
            (c.id, c.location, c.state, "the package" if c.is_package else "the file")
            for c in self.copies
            if c.type != "LONG_TERM_ARCHIVE"
        ]
        loose = [
            (m.example, m.location, m.state, f"its {count(m.files, 'file')}") for m in self.members
        ]
        return loose + found


def as_typed(name: str) -> list[str]:
    """What was typed as the ledger may write it: already so, or as the bytes on the disk."""
    plain = name.removeprefix("./").rstrip("/")
    return sorted({plain, to_text(os.fsencode(plain))})


def matches(tx: Tx, name: str, typed: list[str], night: date | None) -> tuple[list[Row], list[Row]]:
    """The files and the packages that may be meant by ``name``."""
    try:
        UUID(name)
    except ValueError:
        files = tx.run("why.files_named", paths=typed, night=night)
    else:
        files = tx.run("why.files_with_id", id=name)
    last = name.rpartition("/")[2]
    names = [name.lower(), last, last.removesuffix(".tar")]
    return files, tx.run("why.packages_named", names=names)


def story_of(tx: Tx, file_id: UUID | None, package_id: UUID | None) -> Story:
    """Of the file with this id, or else of the package."""
    file = package = None
    versions: list[Row] = []
    linked: list[Row] = []
    members: list[Row] = []
    quarantine: list[Row] = []
    if file_id is not None:
        file = tx.run("why.file", id=file_id)[0]
        package_id = file.package
        versions = tx.run("why.versions", id=file_id)
        linked = tx.run("why.linked", id=file_id)
        quarantine = tx.run("why.quarantine", location=file.location, paths=["/" + file.path])
    else:
        package = tx.run("why.package", id=package_id)[0]
        members = tx.run("why.member_copies", package=package_id)
    both = {"file": file_id, "package": package_id}
    copies = tx.run("why.copies", **both)
    deletions = tx.run("why.deletions", **both)
    about = file if file is not None else package
    assert about is not None
    story = Story(
        file=file,
        package=package,
        copies=copies,
        members=members,
        clauses={},
        deletions=deletions,
        proofs=tx.run("why.proofs", deletions=[d.id for d in deletions]),
        holds=tx.run("why.holds", night=about.night, **both),
        blocked=tx.run("why.blocked", **both),
        quarantine=quarantine,
        versions=versions,
        linked=linked,
        product=tx.one("why.product", **both),
        products=tx.run("why.products", **both),
    )
    for copy, _, state, _ in story.places:
        if state not in ("deleted", "missing"):
            story.clauses[copy] = tx.run("why.clauses", copy=copy)
    return story
