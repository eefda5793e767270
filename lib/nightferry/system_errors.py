"""What the system says about a file, in our words: which file, what happened, what to do next.

A missing file stays :class:`FileNotFoundError`: that is an answer, and the caller knows of what.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from nightferry.errors import GiveUp, NightferryError, NoRoom, Retry, Unavailable, Unreadable

_PLACE_GONE = {
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ECONNABORTED,  # a FUSE file system whose program has just ended
    errno.ENODEV,
    errno.ENXIO,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ETIMEDOUT,
    errno.ESHUTDOWN,
    errno.ENOLINK,
}
FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "is over its quota"}
_SYMBOLIC_LINK = {errno.ELOOP, errno.ENOTDIR}


def says_gone(error: OSError) -> bool:
    """Does ``error`` speak of the whole place, rather than of a file in it?"""
    return error.errno in _PLACE_GONE


def _said(location: str, path: str, error: OSError) -> str:
    return f"{location}:{path}: {os.strerror(error.errno or 0)}"


def _gone(location: str, path: str, error: OSError) -> Unavailable:
    return Unavailable(
        location,
        f"{_said(location, path, error)}. The location does not answer: see that it is mounted.",
    )


@contextmanager
def reading(location: str, path: str) -> Iterator[None]:
    """Turn a system error while reading into Unavailable or Unreadable; a missing file passes."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, error.strerror, f"{location}:{path}") from error
    except OSError as error:
        if error.errno in _PLACE_GONE:
            raise _gone(location, path, error) from error
        if error.errno in _SYMBOLIC_LINK:
            hint = "A part of the path is a symbolic link or no directory; links are not followed."
        elif error.errno in (errno.EACCES, errno.EPERM):
            hint = "Give the daemon's user the right to read it."
        else:
            hint = "Look for errors of the disk in the kernel's log."
        raise Unreadable(f"{_said(location, path, error)}. {hint}") from error


@contextmanager
def writing(location: str, path: str) -> Iterator[None]:
    """Turn a system error while writing into Retry, GiveUp or Unavailable; as above else."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, error.strerror, f"{location}:{path}") from error
    except OSError as error:
        raise _not_written(location, path, error) from error


def _not_written(location: str, path: str, error: OSError) -> NightferryError:
    said = _said(location, path, error)
    if error.errno in _PLACE_GONE:
        return _gone(location, path, error)
    if error.errno == errno.EROFS:
        return Unavailable(location, f"{said}. Mount {location} for writing.")
    if error.errno in FULL:
        return NoRoom(f"{said}. The location {location} {FULL[error.errno]}: make room there.")
    if error.errno in _SYMBOLIC_LINK:
        return GiveUp(
            "symbolic link in path",
            f"{said}. A part of the path is a symbolic link or no directory; nothing is written "
            "through one. Put a plain directory there.",
        )
    if error.errno == errno.ENAMETOOLONG:
        return GiveUp("name too long", f"{said}. The file system cannot hold this name.")
    if error.errno == errno.EXDEV:
        return GiveUp(
            "another file system below the location",
            f"{said}. Another file system is mounted below the root of {location}, and nothing "
            "can be renamed into or out of it. Make that mount a location of its own.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Retry(f"{said}. Give the daemon's user the right to write there.")
    return Retry(f"{said}. Look for errors of the disk in the kernel's log.")
