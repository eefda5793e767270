"""What lies where in a bucket: files under their own names, our own things below ``.nightferry``.

An object can't be renamed, so a file has its final key from the start. What makes it a temporary
one is a ticket, a small object of ours: a file with a ticket has no name yet, and taking the ticket
away publishes it. Only where another object has the name are the bytes put beside it.
"""

from dataclasses import dataclass

from nightferry.marker import MARKER_FILE
from nightferry.names import check_relative
from nightferry.place import OURS
from nightferry.temporary import check_token

ARRIVING = f"{OURS}/arriving"  # tickets: FINAL/TOKEN
BESIDE = f"{OURS}/beside"  # bytes whose name is taken: FINAL/TOKEN
TAIL = f"{OURS}/tail"  # what is too short to be a part yet: FINAL/TOKEN
UPLOAD = f"{OURS}/upload"  # an upload that no ticket names: ID/KEY; no object has this key
TRASH = f"{OURS}/trash"  # notes: TOKEN/PATH
SET_ASIDE = f"{OURS}/aside"  # TOKEN/PATH


@dataclass(frozen=True)
class Temporary:
    """A temporary file's name, taken apart."""

    final: str
    token: str
    beside: bool = False

    @property
    def path(self) -> str:
        return f"{BESIDE if self.beside else ARRIVING}/{self.final}/{self.token}"

    @property
    def bytes_at(self) -> str:
        """Where its bytes are, or will be."""
        return self.path if self.beside else self.final

    @property
    def tail(self) -> str:
        return f"{TAIL}/{self.final}/{self.token}"

    @classmethod
    def of(cls, path: str) -> "Temporary | None":
        """None for any other path."""
        for folder in (ARRIVING, BESIDE):
            if path.startswith(f"{folder}/"):
                final, _, token = path.removeprefix(f"{folder}/").rpartition("/")
                try:
                    return cls(not_ours(final), check_token(token), folder == BESIDE)
                except ValueError:
                    return None
        return None


def not_ours(path: str) -> str:
    """``path`` if it can be a file of the ledger's. Raises ValueError."""
    if check_relative(path).split("/")[0] in (OURS, MARKER_FILE):
        raise ValueError(f"{path} lies among our own things")
    return path


def kept(folder: str, path: str, token: str) -> str:
    """Where ``path`` is kept under ``token``: a function of both, so that the next try finds it."""
    return f"{folder}/{check_token(token)}/{not_ours(path)}"


def trashed(entry: str) -> str:
    """The path that an entry of the trash had. Raises ValueError: it is no entry."""
    token, _, path = entry.removeprefix(f"{TRASH}/").partition("/")
    if not entry.startswith(f"{TRASH}/"):
        raise ValueError(f"{entry} is not in the trash")
    check_token(token)
    return not_ours(path)
