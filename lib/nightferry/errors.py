"""What may go wrong, named by what to do next. Every module may import this one; it imports none.

A daemon's ``do`` raises one of these; ``jobs.py`` turns it into the state of the job.
"""


class NightferryError(Exception):
    """Something that a person can act on. The text says what happened, to what, and what to do."""


class Retry(NightferryError):
    """Failed now, may work later: the job waits with backoff, and an attempt is spent."""


class NoRoom(Retry):
    """A place is full, or over its quota, or the last room of a disk is left to others, the
    instrument first: the work waits until there is more, and no attempt is spent."""


class NotHere(NightferryError):
    """What the work reads is at no place of this host, and all places are well: it waits for a host
    that has it, and no attempt is spent."""


class GiveUp(NightferryError):
    """Will not work until somebody changes something: the job becomes a ``blocked`` row.

    ``reason`` is a short fixed phrase by which blocked work is released in bulk.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason

    def __reduce__(self) -> tuple[type["GiveUp"], tuple[object, ...]]:
        # A worker's error reaches its daemon as what it is to it: the reason and the words.
        return GiveUp, (self.reason, str(self))


class Unavailable(NightferryError):
    """A place or route does not answer: its breaker counts this, and no attempt is spent.

    ``what`` is the name of the location or route.
    """

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what

    def __reduce__(self) -> tuple[type["Unavailable"], tuple[str, str]]:
        return type(self), (self.what, str(self))


class NoAnswer(Unavailable):
    """It was asked whether it is there, before any work: its breaker opens at once."""


class LeaseLost(NightferryError):
    """Another worker holds this work now: roll back, and leave the files alone."""


class Stopping(NightferryError):
    """The daemon was asked to stop: the job is given back, its attempt too."""


class GaveWay(Stopping):
    """More urgent work waits at the same place: the job is given back, its attempt too."""


class Cancelled(NightferryError):
    """A person cancelled this job."""


class Unreadable(NightferryError):
    """A copy could not be read to its end: neither good nor bad."""


class NotAFile(Unreadable):
    """A link, a FIFO, a socket or a directory stands where a regular file is meant."""


class Occupied(NightferryError):
    """Another file stands where one was to be published. Nothing was overwritten."""


class ConfigError(NightferryError):
    """A configuration file is wrong. The text names file, line and the nearest known key."""
