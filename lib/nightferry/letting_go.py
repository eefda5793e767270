"""What is done to a copy that was let go: to the trash, hashed there, put back, or unlinked.

Files only: whether it may go is the deletion rule's to say, in the database, before the first of
these steps and again before the last. Each can be done twice; each looks at the file right before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nightferry.child import Work
from nightferry.errors import Occupied, Retry, Unreadable
from nightferry.packaging.sidecar import SUFFIX
from nightferry.stores.base import Store, Stored

NOTHING = Stored("", -1, 0)  # what is seen where no file is


@dataclass(frozen=True)
class Step:
    """What happened to one copy: the stage that was found, the stage it is at, and why. A state is
    given to it once: what was found corrupt in the trash stays so when it is put back."""

    copy: str
    was: str
    stage: str
    trash: str | None = None
    detail: str = ""
    state: str = ""  # of the copy, where it changes
    doubt: str = ""  # "touched" or "bad", for the steps that follow


def _to_trash(store: Store, copy: dict[str, Any], work: Work) -> Step:
    """A copy that is not the one that was archived stays; so does one that somebody writes to.

    What is moved is what was looked at. This process may be frozen between the two, until others
    have done the work and the instrument has used the name again.
    """
    found = step_for(copy)
    seen = _look(store, copy["path"])
    # Only a package has a sidecar; a frame's name may be as long as a name can be.
    sidecar = _look(store, copy["path"] + SUFFIX) if copy["is_package"] else NOTHING
    try:
        changed = _changed(seen, copy)
        writing = not changed and store.has_writer(copy["path"])
    except FileNotFoundError:
        changed, writing = "", False  # in the trash already, or gone: trash() says which
    if changed:
        try:  # by a claim that ended before it could say so; then its name was used again
            return found("trashed", trash=store.trash(copy["path"], copy["copy"], NOTHING))
        except (Retry, FileNotFoundError):
            detail = f"it is not the file that was archived: {changed}"
            return found("kept", detail=detail, state="suspect")
    if writing:
        return found("kept", detail="a process has it open for writing", state="present")
    if room := _has_room(store, copy):
        return found("kept", detail=room, state="present")
    work.check()
    try:
        trash = store.trash(copy["path"], copy["copy"], seen)
        if copy["is_package"]:
            _sidecar(store.trash, copy["path"] + SUFFIX, copy["copy"], sidecar)
    except FileNotFoundError:
        return found("kept", detail="it is not there", state="missing")
    if _touched(seen, copy):
        detail = "something of it was changed since it was last read"
        return found("trashed", trash=trash, detail=detail, doubt="touched")
    return found("trashed", trash=trash)


def _has_room(store: Store, copy: dict[str, Any]) -> str:
    """For a copy that goes to make room: that there is room again, in words, or ''."""
    if copy["low"] is None:
        return ""
    space = store.space()
    if space is None or space.total - space.free > copy["low"] * space.total:
        return ""
    return f"{store.location} has room again: it is at its low mark"


def _look(store: Store, path: str) -> Stored:
    try:
        return store.stat(path)
    except FileNotFoundError:
        return NOTHING


def _changed(there: Stored, copy: dict[str, Any]) -> str:
    """How the file differs from the ledger's, or ''. A package's time is its store's own."""
    if there is NOTHING:
        return ""  # in the trash already, or gone: trash() says which
    if there.size != copy["size"]:
        return f"it has {there.size} bytes, not {copy['size']}"
    if copy["mtime_ns"] is not None and there.mtime_ns != copy["mtime_ns"]:
        return "it was written again"
    return ""


def _touched(there: Stored, copy: dict[str, Any]) -> bool:
    """Perhaps written, by somebody who set the time back."""
    return there.ctime_ns is not None and copy["ctime_ns"] not in (None, there.ctime_ns)


def _hash(store: Store, copy: dict[str, Any], work: Work) -> Step:
    found = step_for(copy)
    try:
        reading = store.read_back(copy["trash"], lambda _: work.progress(work.done))
    except FileNotFoundError as error:
        return found("recalled", detail=f"it could not be read in the trash: {error}")
    except Unreadable as error:
        return found("recalled", detail=f"in the trash it could not be read: {error}", doubt="bad")
    if reading.sha256 != copy["sha256"]:
        # A frame that nobody wrote to has rotted; the next sweep finds it moved, and reads it once
        # more. Of what somebody wrote, and of a package, who reads it again has the last word.
        written = copy["doubt"] == "touched" or _changed(store.stat(copy["trash"]), copy)
        rotten = not written and not copy["is_package"]
        detail = f"in the trash it has the SHA-256 {reading.sha256}"
        return found("recalled", detail=detail, doubt="bad", state="corrupt" if rotten else "")
    return found("hashed")


def _put_back(store: Store, copy: dict[str, Any], work: Work) -> Step:
    found = step_for(copy)
    work.check()
    try:
        store.restore(copy["trash"], copy["path"])
        if copy["is_package"]:
            _sidecar(store.restore, copy["trash"] + SUFFIX, copy["path"] + SUFFIX)
    except Occupied as error:
        return found("kept", detail=f"it stays in the trash: {error}", state="suspect")
    except FileNotFoundError:
        return found(
            "kept", detail=f"neither in the trash nor at its path: {copy['path']}", state="missing"
        )
    state = "suspect" if copy["doubt"] == "bad" else "present"
    return found("kept", detail=copy["detail"], state=state)


def _unlink(store: Store, copy: dict[str, Any], work: Work) -> Step:
    """The last look, the last renewal, and then it is gone. durable.Root.erase is what unlinks."""
    found = step_for(copy)
    try:
        if store.has_writer(copy["trash"]):
            return found("recalled", detail="a process has it open for writing")
        if room := _has_room(store, copy):
            return found("recalled", detail=room)
    except FileNotFoundError:
        pass  # erased by a claim that ended before it could say so
    work.check()
    if copy["is_package"]:
        store.erase(copy["trash"] + SUFFIX)
    store.erase(copy["trash"])
    return found("deleted", state="deleted")


# By the stage that a copy is at.
STEPS: dict[str, Callable[[Store, dict[str, Any], Work], Step]] = {
    "deleting": _to_trash,
    "trashed": _hash,
    "recalled": _put_back,
    "condemned": _unlink,
}


def step_for(copy: dict[str, Any]) -> Callable[..., Step]:
    def step(stage: str, trash: str | None = None, detail: str = "", **more: str) -> Step:
        return Step(copy["copy"], copy["stage"], stage, trash, detail, **more)

    return step


def _sidecar(move: Callable[..., object], path: str, to: str, *seen: Stored) -> None:
    try:
        move(path, to, *seen)
    except FileNotFoundError:
        return  # a package is whole without it; verify tells of a sidecar that is missing
