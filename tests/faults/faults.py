"""Which faults each point is given: a kill, and every error that the system may answer there."""

from tests.faults.tracing import Point

KILL = "signal=SIGKILL"
FULL, OVER_QUOTA, BROKEN, CUT = "error=ENOSPC", "error=EDQUOT", "error=EIO", "error=ECONNRESET"
NOTHING_READ = "retval=0"  # the file seems to end here
ONE_BYTE_WRITTEN = "retval=1"  # and it is a lie: not even that one is there

_READS = ("read", "pread64", "readv", "preadv", "preadv2")
_WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2")
_HEARS = ("connect", "recvfrom", "recvmsg")
_MAKES = ("mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlinkat")


def no_error(point: Point) -> str:
    """Why a point is given no error; "" = it is given some. Each is killed all the same."""
    if point.about.startswith("the worker's channel"):
        return "a worker's channel has no errors of its own: it ends with a process, and those are killed"
    if point.about.startswith("the database") and point.call not in _HEARS:
        return (
            "a connection that is cut shows in what is read from it: while the other end lives, what"
            " is sent into it succeeds"
        )
    return ""


def errors(point: Point) -> tuple[str, ...]:
    """What this call may answer, in the order of likelihood; nothing where ``no_error`` says why."""
    if no_error(point):
        return ()
    if point.about.startswith("the database"):
        return (CUT,)
    if point.call in _WRITES:
        return (FULL, ONE_BYTE_WRITTEN, BROKEN, OVER_QUOTA)
    if point.call in _READS:
        return (BROKEN, NOTHING_READ)
    if point.call in _MAKES or point.about.endswith(", made"):
        return (FULL, BROKEN, OVER_QUOTA)
    if point.call in ("fsync", "fdatasync", "sync_file_range"):
        return (BROKEN, FULL)
    if point.call == "inotify_add_watch":
        return (FULL,)
    return (BROKEN,)
