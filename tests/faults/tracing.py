"""What a process asks of the system, as strace tells it; and the points at which a fault can hit.

A point is distinct by who acts, the call, and what the call is about: the role that a path plays in
a location, the statement a database is asked, or the word that crosses a worker's channel. Of each,
at most the first two are points.

Over 300 lines: how every call of interest is told, and what it is about, is one table.
"""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from nightferry.sql import folder as sql_folder
from nightferry.sql import statements

from tests.faults.scenes import Place

ORDINALS = 2
KINDS = (
    "ingest",
    "package",
    "transfer",
    "archive",
    "verify",
    "reap",
    "stage",
    "calibrate",
    "adopt",
    "locations",
)
FOLDER = "{folder}"  # in a filter: of the copy that is hit
STRACE = "strace"
# What reads, changes or names a file, or crosses a socket. Where a descriptor stands, what is told
# to the kernel's cache, and memory, time and locks of threads leave nothing behind.
FILES = (
    "open", "openat", "creat", "close", "read", "pread64", "readv", "preadv", "preadv2", "write",
    "pwrite64", "writev", "pwritev", "pwritev2", "fsync", "fdatasync", "sync_file_range",
    "ftruncate", "fallocate", "copy_file_range", "sendfile", "rename", "renameat", "renameat2",
    "link", "linkat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "symlinkat", "stat",
    "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "statfs", "fstatfs",
    "getdents64", "flock", "utimensat", "fchmod", "fchmodat", "inotify_add_watch",
)  # fmt: skip
SOCKETS = ("connect", "sendto", "recvfrom", "sendmsg", "recvmsg", "shutdown")
CALLS = FILES + SOCKETS
# The loop's own sessions are alike in all daemons; what is told apart is what moves a job, and the
# kind's own statements.
_OF_JOBS = ("claim", "claim_above", "finish", "renew", "retry", "put_off", "block", "give_back",
            "enqueue", "hold_lease", "take_lease", "drop_lease", "tick")  # fmt: skip
_OWN = "the loop's own words"
_OF_THE_LOOP = {f"jobs.{name}" for name in _OF_JOBS} - {
    "jobs.finish", "jobs.retry", "jobs.put_off", "jobs.block", "jobs.give_back", "jobs.enqueue",
}  # fmt: skip
CHANNEL = "the worker's channel: "
_LINE = re.compile(r"(?:(\d+) +)?(\w+)\((.*)")
_AT = re.compile(r'(?:AT_FDCWD|\b\d+)<((?:[^<>"]|\\.)*)>(?:, "((?:[^"\\]|\\.)*)")?')
_PLAIN = re.compile(r'"((?:[^"\\]|\\.)*)"')
_TOKEN = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TEMPORARY = re.compile(rf"\..+\.{_TOKEN}\.part")
_AT_CALLS = {"openat", "newfstatat", "statx", "faccessat", "faccessat2", "unlinkat", "mkdirat", "renameat",
             "renameat2", "linkat", "symlinkat", "utimensat", "fchmodat"}  # fmt: skip
_NAMED_CALLS = {"open", "creat", "rename", "link", "unlink", "rmdir", "mkdir", "stat", "lstat",
                "access", "statfs", "inotify_add_watch"}  # fmt: skip
_TYPES = {"dome-source": "source", "archive-a": "archive", "archive-b": "archive"}


@dataclass(frozen=True)
class Call:
    """One call, as it was seen. ``about`` is its role; ``names`` are what a path filter can match:
    the paths of its descriptors and its own path arguments."""

    thread: int
    name: str
    about: str
    names: tuple[str, ...]
    target: str  # the most particular of the names
    number: int  # among this thread's calls of this name, whatever they are about
    injected: bool


@dataclass(frozen=True)
class Point:
    """Where a fault hits. ``filter`` and ``when`` are what strace is told."""

    scene: str
    process: str  # daemon, worker
    call: str
    about: str
    ordinal: int
    filter: str = ""
    when: int = 0
    trail: tuple[Call, ...] = ()  # without a filter: this thread's calls of this name, up to it

    @property
    def what(self) -> tuple[str, str, str, str]:
        """Distinct by this."""
        return self.scene, self.process, self.call, self.about

    @property
    def of_the_loop(self) -> bool:
        """What a daemon asks the database whatever its work is, and before it knows of any."""
        said = self.about.removeprefix("the database: ").removeprefix("COMMIT of ")
        return self.about == "the database" or said == _OWN or said in _OF_THE_LOOP

    @property
    def at(self) -> tuple[str, str, str, int]:
        """The same in two scenes that are alike."""
        return self.process, self.call, self.about, self.ordinal

    def __str__(self) -> str:
        return f"{self.scene}, {self.process}: {self.call} of {self.about}, no. {self.ordinal}"


def attach(pid: int, options: Iterable[str], out: Path, threads: bool) -> "subprocess.Popen[bytes]":
    """strace on a process that waits for it; it ends with that process."""
    follow = ["-f"] if threads else []
    return subprocess.Popen(
        [STRACE, "-qq", *follow, "-y", "-s", "300", "-o", str(out), *options, "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )


def read(out: Path, place: Place, random_names: bool) -> list[Call]:
    """The calls in what strace wrote, in their order, with what they are about.

    ``random_names``: the names of temporary files are others each time, and no filter for them.
    """
    reader = _Reader(place, random_names)
    if not out.exists():
        return []
    lines = out.read_text(errors="replace").splitlines()
    return [call for line in lines if (call := reader.call(line)) is not None]


def points(scene: str, process: str, calls: Sequence[Call]) -> Iterator[Point]:
    """The distinct points among ``calls``, each with the filter that hits it."""
    seen: dict[tuple[str, str], int] = {}
    threads: dict[tuple[str, str], int] = {}
    for index, call in enumerate(calls):
        what = (call.name, call.about)
        if threads.setdefault(what, call.thread) != call.thread:
            continue  # strace counts by thread
        seen[what] = seen.get(what, 0) + 1
        if seen[what] > _ordinals(call.about):
            continue
        alike = tuple(
            c for c in calls[: index + 1] if (c.thread, c.name) == (call.thread, call.name)
        )
        point = Point(scene, process, call.name, call.about, seen[what])
        if call.target:
            same = sum(call.target in c.names for c in alike)
            yield replace(point, filter=call.target, when=same)
        else:
            yield replace(point, when=call.number, trail=alike)


def was_hit(point: Point, calls: Sequence[Call], kill: bool) -> bool:
    """Whether a fault was where it was meant to be, in a run with these calls."""
    if not kill:
        return any(c.injected and (c.name, c.about) == (point.call, point.about) for c in calls)
    last = calls[-1] if calls else None
    if last is None or last.name != point.call:
        return False
    if point.trail and _unheard(last):
        heard, meant = (_heard(part) for part in (calls[:-1], point.trail[:-1]))
        return point.about.startswith(CHANNEL) and heard == meant
    return last.about == point.about


def aim_again(point: Point, calls: Sequence[Call]) -> Point:
    """``point``, after a run in which something else was hit: how often a loop asks is chance.

    What was hit stands somewhere in the point's trail: from there it is so many calls further.
    """
    alike = [c for c in calls if c.name == point.call]
    same = [c for c in alike if c.about == point.about]
    if len(same) >= point.ordinal:
        return replace(point, when=same[point.ordinal - 1].number)
    if not point.trail or not alike:
        return replace(point, when=point.when + 3)
    last, goal = alike[-1], point.trail[-1]
    if _unheard(last):
        words = [c for c in point.trail if c.about.startswith(CHANNEL)]
        count = sum(c.about.startswith(CHANNEL) for c in alike)
        known = words[count - 1 : count]
    else:
        known = [c for c in point.trail if c.about == last.about]
    further = goal.number - known[-1].number if known else 3
    return replace(point, when=max(1, last.number + further))


def _heard(calls: Iterable[Call]) -> list[str]:
    return [c.about for c in calls if c.name == "read" and c.about.startswith(CHANNEL)]


def _unheard(call: Call) -> bool:
    """A reading that was killed does not show what it would have read."""
    return call.name == "read" and call.about == f"{CHANNEL}its end"


def _ordinals(about: str) -> int:
    """A statement or a word says itself where it stands; once is enough."""
    said = about.startswith(("the database: ", CHANNEL))
    return 1 if said and not about.endswith(_OWN) else ORDINALS


def inject(point: Point, what: str, place: Place) -> list[str]:
    """strace's options for ``what`` (``signal=SIGKILL``, ``error=EIO``, ``retval=0``) there."""
    path = ["-P", point.filter.replace(FOLDER, str(place.folder))] if point.filter else []
    fault = f"inject={point.call}:{what}:when={point.when}"
    # What a socket was asked is known only to who saw it asked.
    asked = () if path else (*SOCKETS, "read", "write")
    seen = ",".join(dict.fromkeys((point.call, *asked)))
    return ["-e", f"trace={seen}", *path, "-e", fault]


class _Reader:
    """Knows what lies where in one place, and what each connection was last asked."""

    def __init__(self, place: Place, random_names: bool) -> None:
        self.folder = str(place.folder)
        self.random_names = random_names
        sites = place.sites
        names = (
            "dome-source",
            "dome-buffer",
            "center-buffer",
            "archive-a",
            "archive-b",
            "center-work",
        )
        self.places: Mapping[str, str] = {
            str(sites.path(name)): _TYPES.get(name, name.replace("-", " ")) for name in names
        }
        self.numbers: dict[tuple[int, str], int] = {}
        self.prepared: dict[tuple[str, str], str] = {}
        self.asked: dict[str, str] = {}  # by socket
        self.first: dict[str, str] = {}  # statement of a socket's transaction

    def call(self, line: str) -> Call | None:
        found = _LINE.match(line)
        if found is None or found[2] not in CALLS:
            return None
        thread, name, rest = int(found[1] or 0), found[2], found[3]
        injected = "(INJECTED)" in rest
        number = self.numbers[thread, name] = self.numbers.get((thread, name), 0) + 1
        fds = [(m[1], m[2] if name in _AT_CALLS else None) for m in _AT.finditer(rest)]
        if name in ("sendto", "recvfrom", "sendmsg", "recvmsg", "connect", "shutdown"):
            about = self._of_database(name, rest, fds)
            return (about and Call(thread, name, about, (), "", number, injected)) or None
        if fds and fds[0][0].startswith("socket:"):
            if name not in ("read", "write"):
                return None
            return Call(thread, name, f"{CHANNEL}{_word(rest)}", (), "", number, injected)
        paths = _paths(name, rest, fds)
        if not paths:
            return None
        path, target = paths[-1] if name.startswith(("rename", "link")) else paths[0]
        about = self._role(path, rest)
        if about is None or (name == "close" and "temporary" not in about):
            return None
        if name in ("newfstatat", "statx") and paths[0][1] != fds[0][1]:
            return None  # of an open descriptor
        if name.startswith(("rename", "link")):
            about = f"{self._role(paths[0][0], rest)} to {about}"
        literal = [n for d, n in fds if n] + [d for d, _ in fds]
        literal += [t for _, t in paths if t not in literal]
        if name == "openat" and "O_CREAT" in rest:
            about = f"{about}, made"
        if self.random_names:
            return Call(thread, name, about, (), "", number, injected)
        names = tuple(self._free(n) for n in literal)
        return Call(thread, name, about, names, self._free(target), number, injected)

    def _free(self, name: str) -> str:
        """A name without the folder that this copy happens to be in."""
        return name.replace(self.folder, FOLDER)

    def _role(self, path: str, rest: str) -> str | None:
        path = path.removesuffix(" (deleted)")
        for root, place in self.places.items():
            if path == root:
                return f"the root of {place}"
            if path.startswith(root + "/"):
                return _role_below(path[len(root) + 1 :], place)
        return None

    def _of_database(self, name: str, rest: str, fds: list[tuple[str, str | None]]) -> str | None:
        if not fds or not fds[0][0].startswith("socket:"):
            return None
        socket = fds[0][0]
        if name in ("connect", "shutdown"):
            return "the database" if "PGSQL" in rest or "sin_port" in rest else None
        if name in ("sendto", "sendmsg"):
            text = _PLAIN.search(rest)
            self.asked[socket] = self._asked(socket, _bytes(text[1]) if text else b"")
        label = self.asked.get(socket)
        return f"the database: {label}" if label else None

    def _asked(self, socket: str, sent: bytes) -> str:
        """What a message of the protocol asks: a named statement, BEGIN, or the COMMIT of which."""
        kind = sent[:1]
        if kind == b"P":
            prepared, _, sql = sent[5:].partition(b"\0")
            label = _statement(sql.split(b"\0")[0].decode("utf-8", "replace"))
            self.prepared[socket, prepared.decode("latin-1")] = label
        elif kind == b"B":
            name = sent[5:].split(b"\0")[1:2]
            label = self.prepared.get((socket, name[0].decode("latin-1") if name else ""), "again")
        elif kind == b"Q":
            label = _statement(sent[5:].split(b"\0")[0].decode("utf-8", "replace"))
        else:
            return _OWN
        if label == "BEGIN":
            self.first[socket] = ""
        elif label in ("COMMIT", "ROLLBACK") and self.first.get(socket):
            return f"{label} of {self.first[socket]}"
        file, _, name = label.partition(".")
        if name not in _OF_JOBS if file == "jobs" else file not in KINDS:
            return _OWN
        self.first[socket] = self.first.get(socket) or label
        return label


def _paths(name: str, rest: str, fds: list[tuple[str, str | None]]) -> list[tuple[str, str]]:
    """(the whole path, what a path filter has to match) of each path that a call names."""
    if name in _NAMED_CALLS:
        return [(_bytes(m[1]).decode("utf-8", "replace"),) * 2 for m in _PLAIN.finditer(rest)]
    found = []
    for directory, own in fds:
        own = _bytes(own).decode("utf-8", "replace") if own else ""
        path = own if own.startswith("/") else f"{directory}/{own}" if own else directory
        found.append((path, own or directory))
    return found if name.startswith(("rename", "link")) else found[:1]


def _role_below(path: str, place: str) -> str:
    *_, name = path.split("/")
    sidecar = ".tar.sha256" in name
    if path.startswith(".nightferry/"):
        kept = "trash" if path.startswith(".nightferry/trash") else "set aside"
        if "." in name:
            return f"{kept}: {'a sidecar' if sidecar else 'an entry'} of {place}"
        return f"{kept}: a directory of {place}"
    if path == ".nightferry":
        return f"trash: a directory of {place}"
    if _TEMPORARY.fullmatch(name):
        which = "sidecar" if sidecar else "marker" if "nightferry-location" in name else "file"
        return f"a temporary {which} of {place}"
    if name == ".nightferry-location":
        return f"the marker of {place}"
    if sidecar:
        return f"a sidecar of {place}"
    if name.endswith(".tar"):
        return f"a package of {place}"
    return f"a file of {place}" if "." in name else f"a directory of {place}"


def _word(rest: str) -> str:
    """What a message of the channel says: its first word."""
    text = _PLAIN.search(rest)
    sent = _bytes(text[1]) if text else b""
    words = ("progress", "emit", "ask", "check", "done", "failed", "broke", "answer", "raise")
    for word in words:
        if b"\x8c" + bytes([len(word)]) + word.encode() in sent:
            return word
    if b"nightferry.child" in sent:
        return "a task"
    return "a length" if len(sent) == 4 else "its end" if not sent else "more"


@cache
def _known() -> list[tuple[str, str]]:
    found = []
    for file in sorted(sql_folder().glob("*.sql")):
        for name, body in statements(file.stem).items():
            found.append((_plain(body)[:120], f"{file.stem}.{name}"))
    return found


def _plain(sql: str) -> str:
    sql = re.sub(r"\$\d+|%\(\w+\)s", "?", sql).replace("%%", "%")
    return " ".join(sql.split())


def _statement(sql: str) -> str:
    plain = _plain(sql)[:120]
    for start, name in _known():
        if plain and (start.startswith(plain[:100]) or plain.startswith(start)):
            return name
    return " ".join(plain.split(" ")[:2])


def _bytes(text: str) -> bytes:
    """The bytes of a string as strace prints it."""
    return text.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1", "replace")
