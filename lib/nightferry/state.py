"""Where this host keeps its state, and as whom the embedded server may enter it.

PostgreSQL never runs as root. Started by root it runs as ``nobody`` or as the user that the
settings name, and that user has to be able to enter every directory above the server's files.
"""

import hashlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from nightferry.errors import ConfigError

OF_THE_SYSTEM = Path("/var/lib/nightferry")


class Identity(TypedDict, total=False):
    """The arguments that make ``subprocess`` start a child as another user; none for our own."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """A user of this machine that has a name: initdb refuses one without."""

    name: str
    uid: int
    gid: int

    def can(self, what: str, path: Path) -> bool:
        """Ask the kernel, as this user, for ``-x`` (enter, run) or ``-r`` (read) on ``path``."""
        if self.uid == os.geteuid():
            return os.access(path, os.X_OK if what == "-x" else os.R_OK)
        return subprocess.run(["test", what, path], cwd="/", **self.identity()).returncode == 0

    def take(self, path: Path) -> None:
        """Make ``path`` this user's. What is ours already is not touched: a unit may forbid chown
        to all but root."""
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid)

    def identity(self) -> Identity:
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account(user: str | None = None) -> Account:
    """The user that the embedded server runs as: ours, or when we are root ``user`` or nobody.

    Raises ConfigError where there is no such user, or it is one that PostgreSQL refuses.
    """
    own = os.geteuid()
    try:
        if own == 0:
            entry = pwd.getpwnam(user or "nobody")
        else:
            entry = pwd.getpwnam(user) if user else pwd.getpwuid(own)
    except KeyError:
        who = f"user {user or 'nobody'!r}" if own == 0 or user else f"user id {own}"
        raise ConfigError(
            f"{who} has no entry in this machine's list of users, and PostgreSQL refuses to run "
            "as a user without a name. Name one that exists, or set database: to a server."
        ) from None
    if entry.pw_uid == 0:
        raise ConfigError("PostgreSQL refuses to run as root. Name another user for it.")
    if own not in (0, entry.pw_uid):
        raise ConfigError(
            f"only root can start the server as {entry.pw_name!r}. "
            f"Start it as root, or as {entry.pw_name!r} itself."
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def state_directory(given: Path | None = None) -> Path:
    """The given one, else systemd's, else the system's for root, else the user's by XDG's rule."""
    if given is not None:
        return given.absolute()
    if of_the_unit := os.environ.get("STATE_DIRECTORY"):
        return Path(of_the_unit.split(":")[0])
    if os.geteuid() == 0:
        return OF_THE_SYSTEM  # root's home is a place that no other user can enter
    of_the_user = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not of_the_user.is_absolute():  # XDG: a relative path is to be ignored
        of_the_user = Path.home() / ".local/state"
    return of_the_user / "nightferry"


def demo_directory(checkout: Path, account: Account) -> Path:
    """The demo's own: ``.demo`` in the checkout, or where ``account`` can't enter that, one of
    this checkout's own in the system's state directory."""
    beside = checkout.resolve() / ".demo"
    if barred(beside, account) is None:
        return beside
    mark = hashlib.sha256(os.fsencode(beside)).hexdigest()[:8]
    return OF_THE_SYSTEM / f"demo-{mark}"


def barred(directory: Path, account: Account) -> Path | None:
    """The topmost directory on the way to, or at, ``directory`` that ``account`` can't enter.

    What does not exist yet bars nobody: ``make`` will make it so that it can be entered.
    """
    full = directory.resolve()
    for step in [*reversed(full.parents), full]:
        if step.exists() and not account.can("-x", step):
            return step
    return None


def make(directory: Path, account: Account) -> None:
    """Make ``directory`` and what is missing above it; what exists is left as it is.

    Only its maker can list what is made here. Another user, the server's, may pass through.
    """
    mode = 0o700 if account.uid == os.geteuid() else 0o711
    missing = [step for step in (directory, *directory.parents) if not step.exists()]
    for step in reversed(missing):
        try:
            step.mkdir()
        except FileExistsError:
            continue  # another process made it a moment ago, and its mode is that one's to choose
        step.chmod(mode)  # whatever the umask says
