"""Who asks, and what they may see: one rule for staging and for single files.

The system says who asks, never a variable that anybody can set. sudo's word counts only where it
was sudo that made us root.
"""

import grp
import os
import pwd
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from nightferry.errors import NightferryError


@dataclass(frozen=True)
class Rights:
    """Of a package or a file: who owns what of it is not public yet ('' = nobody knows), and when
    all of it will be."""

    name: str
    owners: Collection[str]
    public_after: datetime | None = None


def asker() -> str:
    """The user who asks."""
    user = os.getuid()
    if user == 0 and (before := os.environ.get("SUDO_USER")):
        return before
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"


def names_of(user: str) -> set[str]:
    """The user, and their groups."""
    try:
        ids = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
    except KeyError:
        return {user}
    return {user} | {group.gr_name for group in grp.getgrall() if group.gr_gid in ids}


def check_seen(asked: Sequence[Rights], override: str = "") -> bool:
    """Its owner and their group may see a package, and everyone once it is public. Unknown owner
    = closed. Whether it took an ``override``, an operator's reason, to see them.

    Raises:
        NightferryError: something of it may not be seen.
    """
    user = asker()
    mine = names_of(user)
    closed = [one for one in asked if not set(one.owners) <= mine]
    if closed and not override:
        others = sorted(set(closed[0].owners) - mine)
        owner = f"of {', '.join(others)}" if others[0] else "of an unknown owner"
        after = closed[0].public_after
        public = f", public after {after:%Y-%m-%d}" if after else ""
        more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
        raise NightferryError(
            f"{closed[0].name}{more} may not be seen by {user}: {owner}{public}. An operator says "
            "why with --override REASON, and it is written down"
        )
    return bool(closed)
