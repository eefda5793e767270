"""The only code that makes a file of a POSIX location appear or vanish.

    appear   Root.temporary  a temporary name, beside the file's own
             Root.publish    the temporary gets its own name; nothing is ever overwritten
    vanish   Root.discard    a temporary is unlinked; other names are refused
             Root.trash, Root.set_aside, Root.restore     a file is renamed within its location
             Root.erase      THE one function that unlinks anything but a temporary: from the trash
             Root.unstage    what was unpacked for a while, below its two folders of a PROCESSING

Each can be cut short at any system call and be done again: what was done counts as done, and is
made durable again. Everything goes through the directory descriptor on which the marker was read
(``place.py``): a vanished mount can't be written under.

Over 300 lines, on purpose: who looks for what deletes has one file to read.
"""

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256 as sha256_of
from pathlib import Path
from stat import S_ISREG
from typing import Literal

from nightferry.errors import GiveUp, Occupied, Retry, Unavailable
from nightferry.filesystem import file_system_type, mount_of
from nightferry.marker import MARKER_FILE, Marker, read_marker
from nightferry.names import to_text
from nightferry.place import OURS, Entry, Leftover, Place, has_writer, is_open, open_root, parts
from nightferry.readback import Reading
from nightferry.system_errors import reading, writing
from nightferry.temporary import Temporary, check_token, lock, parse_temporary, temporary_path

__all__ = [
    "Entry",
    "Leftover",
    "Marker",
    "Reading",
    "Root",
    "Temporary",
    "file_system_type",
    "init_location",
    "parse_temporary",
    "temporary_path",
]

TRASH = f"{OURS}/trash"
SET_ASIDE = f"{OURS}/set-aside"
STAGED = ("staged", "requests")  # what staging makes, and alone may remove, in a PROCESSING

Seen = tuple[int, int]  # size and mtime_ns: which of the files that bore a name is meant

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RENAME_NOREPLACE = 1
_NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
_libc = ctypes.CDLL(None, use_errno=True)


class Root(Place):
    """One location's directory, in which files may appear and vanish. A context manager.

    Beside what :class:`Place` raises: Retry or GiveUp where the system refuses to write, in words;
    ValueError for a path that names what is ours in the location.
    """

    def __init__(self, location: str, path: Path, marker: Marker, fd: int) -> None:
        super().__init__(location, path, marker, fd)
        # Directories whose own name this process knows to be on the disk.
        self._durable: set[tuple[bytes, ...]] = set()

    @classmethod
    def unmarked(cls, folder: Path) -> "Root":
        """A folder that is no location, such as a person's own: the same promises, no marker.

        Raises:
            Unavailable: it cannot be opened; ``what`` is its path.
        """
        return cls(str(folder), folder, Marker.new(str(folder)), open_root(str(folder), folder))

    # Appear

    def temporary(self, final: str, token: str, resume: bool = False) -> Temporary:
        """A temporary file for ``final``, beside it; its directory is made if missing.

        With ``resume`` one that is there already is continued at its end, unless another process
        still writes to it: then that one loses its name, and a new one begins.

        Raises:
            Retry: the location is full, or refuses.
        """
        return self._temporary(_not_ours(final), token, resume)

    def _temporary(self, final: str, token: str, resume: bool) -> Temporary:
        path = temporary_path(final, token)
        with writing(self.location, path), self._made_parent(path) as (directory, name):
            fd = _take_over(directory, name) if resume else None
            if fd is None:
                self.discard(path)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                fd = os.open(name, flags, 0o666, dir_fd=directory)
                lock(fd)
            return Temporary(self.location, path, fd, resume, self.discard)

    def publish(self, temporary: str, final: str, sha256: str) -> Literal["published", "identical"]:
        """Give the verified file ``temporary`` its own name ``final``, durably; never overwrite.

        "identical": a file with these bytes stood there already, perhaps from an earlier try; the
        temporary was discarded. ``sha256`` is what the caller read back.

        Raises:
            Occupied: another file stands there. The temporary is kept.
            Retry: somebody still writes to the temporary, or the disk failed.
            FileNotFoundError: neither the temporary nor the final file is there.
        """
        if temporary != temporary_path(final, parse_temporary(temporary) or ""):
            raise ValueError(f"{temporary} is no temporary file of {final}")
        done: Literal["published", "identical"] = "published"
        size = None
        with writing(self.location, final):
            try:
                size = self._settle(temporary)
                self._move(temporary, final, forget=self.discard)
            except (FileExistsError, FileNotFoundError):
                self._adopt(final, sha256, size)
                self.discard(temporary)
                done = "identical"
            self._make_durable(parts(final)[:-1])
        return done

    def _settle(self, temporary: str) -> int:
        """Make sure that the bytes are on the disk and that nobody adds to them; their number."""
        fd = self.open_file(temporary)
        try:
            if has_writer(fd):
                raise Retry(
                    f"{self.location}:{temporary}: some process still has it open for writing. "
                    "Nothing was published; find it with fuser, and end it."
                )
            try:
                os.fsync(fd)  # a foreign transport may have left this to us
            except OSError:
                self.discard(temporary)  # a second fsync would succeed with the data gone
                raise
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _adopt(self, final: str, sha256: str, size: int | None) -> None:
        """Take what stands at ``final`` for the copy, if it has these bytes; make them durable.

        Raises:
            Occupied: it has other bytes, or is no regular file.
        """
        found = self.stat(final)
        same = S_ISREG(found.st_mode) and size in (None, found.st_size)
        if not same or self.read_back(final).sha256 != sha256:
            raise Occupied(
                f"{self.location}:{final}: another file stands there ({found.st_size} bytes, not "
                f"the one with SHA-256 {sha256}). Nothing was overwritten. Find out what it is, "
                "and move it away if it does not belong there."
            )
        fd = self.open_file(final)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    # Vanish

    def discard(self, temporary: str) -> None:
        """Unlink a temporary file, if it is there.

        Raises:
            ValueError: the name is not a temporary file's.
        """
        if parse_temporary(temporary) is None:
            raise ValueError(f"{temporary} is no temporary file; only those are discarded")
        with (
            suppress(FileNotFoundError),
            writing(self.location, temporary),
            self._parent(temporary) as (directory, name),
        ):
            os.unlink(name, dir_fd=directory)

    def trash(self, path: str, token: str, seen: Seen | None = None) -> str:
        """Rename ``path`` into the location's trash; the entry's path carries ``token``.

        Done before = done: an entry that is there is not replaced, and a new file that has come
        under the old name stays where it is. ``seen`` says which file is meant: another one that
        has its name by now, perhaps while this process was frozen, stays or is put back.

        Raises:
            FileNotFoundError: neither the file nor its entry is there.
            GiveUp: it is no regular file, or on another file system than the location's root.
            Retry: it is not the file that was seen.
        """
        return self._keep(path, _kept(TRASH, path, token), seen)

    def set_aside(self, path: str, token: str, seen: Seen | None = None) -> str:
        """Rename ``path`` to where a person will look at it; nothing erases what lies there.

        Raises:
            FileNotFoundError, GiveUp, Retry: as :meth:`trash`.
        """
        return self._keep(path, _kept(SET_ASIDE, path, token), seen)

    def aside(self, path: str, token: str) -> str | None:
        """Where :meth:`set_aside` has put a file; None: it has put none there."""
        entry = _kept(SET_ASIDE, path, token)
        return entry if self._stat_if_there(entry) else None

    def _keep(self, path: str, entry: str, seen: Seen | None = None) -> str:
        with writing(self.location, path):
            here, kept = self._stat_if_there(path), self._stat_if_there(entry)
            if here and kept and os.path.samestat(here, kept):
                # Two names of one file: a restore was cut short. It is not out of the way.
                self.erase(entry)
                kept = None
            if kept is None:
                if not S_ISREG(self.stat(path).st_mode):
                    raise GiveUp(
                        "no regular file", f"{self.location}:{path}: no regular file. Left alone."
                    )
                if seen is not None and here and _seen(here) != seen:
                    raise _another(self.location, path, "It was left as it is")
                try:
                    self._move(path, entry, forget=None)
                except (FileExistsError, FileNotFoundError) as error:
                    raise Retry(
                        f"{self.location}:{path}: somebody moved it, or its entry {entry}, while "
                        "it was being moved. Nothing was overwritten; it is looked at again."
                    ) from error
                if seen is not None and _seen(self.stat(entry)) != seen:
                    self._return(entry, path)
            self._sync_if_there(parts(path)[:-1])
            self._make_durable(parts(entry)[:-1])
        return entry

    def _return(self, entry: str, path: str) -> None:
        """A file that was not meant goes back to its name."""
        back = "It was put back"
        try:
            self._move(entry, path, forget=None)
        except FileExistsError:
            back = f"A third one has that name now, so it lies at {entry}: move one of them by hand"
        self._make_durable(parts(path)[:-1])
        raise _another(self.location, path, back)

    def restore(self, trash_path: str, path: str) -> None:
        """Rename an entry of the trash back to ``path``.

        Raises:
            Occupied: a file stands there again. The entry stays in the trash.
            FileNotFoundError: neither the entry nor the file is there.
        """
        entry = _trash_entry(trash_path)
        with writing(self.location, path):
            try:
                self._move(trash_path, _not_ours(path), forget=self.erase)
            except FileExistsError as error:
                raise Occupied(
                    f"{self.location}:{path}: a new file has this name. The older one stays in "
                    f"the trash, as {trash_path}: move one of them by hand."
                ) from error
            except FileNotFoundError:
                self.stat(path)
            self._make_durable(parts(path)[:-1])
            self._sync_if_there(entry[:-1])
            self._tidy(entry[:-1])

    def erase(self, trash_path: str) -> None:
        """Unlink an entry of the trash, durably. Nothing else unlinks anything but a temporary.

        Done before = done.

        Raises:
            ValueError: the path is not in the trash.
        """
        entry = _trash_entry(trash_path)
        with writing(self.location, trash_path):
            with suppress(FileNotFoundError), self._parent(trash_path) as (directory, name):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory)
                _sync_directory(directory)
            self._tidy(entry[:-1])

    def _tidy(self, directory: list[bytes]) -> None:
        """Remove the trash's own directories from ``directory`` upwards, while they are empty."""
        for depth in range(len(directory), len(parts(TRASH)), -1):
            self._durable.discard(tuple(directory[:depth]))
            try:
                with self._directory(directory[: depth - 1]) as parent:
                    os.rmdir(directory[depth - 1], dir_fd=parent)
            except FileNotFoundError:
                continue  # by an earlier try
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                return

    def staging_place(self, path: str) -> Path:
        """Where ``path`` of what is staged is to be made; the folder that it lies in is there."""
        *folder, _ = _staged(path)
        with writing(self.location, path):
            self._make(folder)
            self._make_durable(folder)
        return self.path / path

    def unstage(self, path: str, seen: os.stat_result | None = None) -> None:
        """Remove a directory of what is staged, with all that is in it. Done before = done.

        Every byte of it is in the archives; what a person put there goes with it, and is told
        beforehand by the day on which it ends. ``seen`` says which one is meant, as for trash.

        Raises:
            ValueError: the path is not one that staging made.
            Retry: a process still has a file in it open, or it is not the directory that was seen.
            GiveUp: something is mounted in it.
        """
        entry = _staged(path)
        with writing(self.location, path), suppress(FileNotFoundError):
            with self._directory(entry) as staged:
                if seen is not None and _seen(os.fstat(staged)) != _seen(seen):
                    raise _another(self.location, path, "It was left as it is")
                _refuse_mounts(staged, mount_of(staged), f"{self.location}:{path}")
            for below, _ in self.walk(path):
                if self._is_open(below):
                    raise Retry(f"{self.location}:{below} is still open by a process; it stays")
            with self._directory(entry[:-1]) as parent:
                _remove_tree(parent, entry[-1])
                _sync_directory(parent)

    def _is_open(self, path: str) -> bool:
        """Whether any other process has the file open; False where the system can't tell."""
        try:
            fd = self.open_file(path)
        except FileNotFoundError:
            return False
        try:
            return is_open(fd) is True
        finally:
            os.close(fd)

    # What these stand on

    def _move(self, old: str, new: str, forget: Callable[[str], None] | None) -> None:
        """Rename ``old`` to ``new`` within the location, where nothing may stand.

        Where the file system can't rename without clobber (NFS, FUSE), a second name is linked,
        and ``forget`` removes the first. Where it can't link either, or the new name is one that
        only this claim makes (``forget`` is None), it is looked at, then renamed: that is safe
        with one writer only, and ``probe`` says so.

        Raises:
            FileExistsError: another file has the name ``new``.
            FileNotFoundError: there is no ``old``.
        """
        with (
            self._parent(old) as (old_directory, old_name),
            self._made_parent(new) as (new_directory, new_name),
        ):
            ends = old_directory, old_name, new_directory, new_name
            try:
                _refuse_occupied(new_directory, new_name)  # some FUSE libraries heed no flag
                rename_no_replace(*ends)
                return
            except FileExistsError:
                if forget is None or not _same_file(*ends):
                    raise
            except OSError as error:
                if error.errno not in _NO_SUCH_CALL:
                    raise
                if forget is None or not _linked(*ends):
                    _rename_if_free(*ends)
                    return
        # Two names of one file. The new one must be on the disk before the old one goes.
        self._make_durable(parts(new)[:-1])
        forget(old)

    @contextmanager
    def _made_parent(self, path: str) -> Iterator[tuple[int, bytes]]:
        """As ``_parent``, with the directories that are missing made."""
        directory = parts(path)[:-1]
        try:
            with self._directory(directory):
                pass
        except FileNotFoundError:
            self._make(directory)
        with self._parent(path) as found:
            yield found

    def _make(self, directory: list[bytes]) -> None:
        for depth in range(len(directory)):
            with self._directory(directory[:depth]) as parent, suppress(FileExistsError):
                os.mkdir(directory[depth], dir_fd=parent)
                self._durable.discard(tuple(directory[: depth + 1]))

    def _make_durable(self, directory: list[bytes]) -> None:
        """fsync ``directory``, and each parent that this process does not know to hold its child.

        A crash forgets which parents were new, so all up to the root are synced, once a process.
        """
        for depth in range(len(directory), -1, -1):
            if depth == len(directory) or tuple(directory[: depth + 1]) not in self._durable:
                with self._directory(directory[:depth]) as fd:
                    _sync_directory(fd)
        self._durable.update(tuple(directory[:depth]) for depth in range(1, len(directory) + 1))

    def _sync_if_there(self, directory: list[bytes]) -> None:
        with suppress(FileNotFoundError), self._directory(directory) as fd:
            _sync_directory(fd)

    def _stat_if_there(self, path: str) -> os.stat_result | None:
        try:
            return self.stat(path)
        except FileNotFoundError:
            return None


def init_location(path: Path, name: str) -> Marker:
    """Place the marker of the location ``name`` in the directory ``path``, durably, once.

    A marker of this name that is there already is returned as it is.

    Raises:
        Occupied: the marker of another location is there, or one that cannot be understood.
        Unavailable: ``path`` cannot be opened or written; the text has the command that places
            the marker on the host that owns the directory.
        Retry: the disk does not give back what was written.
    """
    marker = Marker.new(name)
    with Root(name, path, marker, open_root(name, path)) as root:
        try:
            with reading(name, MARKER_FILE):
                found = read_marker(root._fd)
        except ValueError as error:
            raise Occupied(
                f"{path / MARKER_FILE} cannot be understood ({error}). Move it away, if you are "
                f"sure that this directory is {name}, and try again."
            ) from error
        if found is not None and found.location != name:
            raise Occupied(
                f"{path} is the location {found.location} (marker {found.marker}), not {name}. "
                "Nothing was changed. A directory is one location only: choose another."
            )
        if found is not None:
            return found
        if not os.access(path, os.W_OK | os.X_OK):
            raise Unavailable(
                name,
                f"{path} is read-only here. On the host that owns it, in the directory that is "
                f"mounted here as {path}, run:\n  {marker.command()}",
            )
        text = f"{marker.document()}\n".encode()
        with root._temporary(MARKER_FILE, marker.marker, resume=False) as temporary:
            temporary.write(text)
            temporary.finish()
        sha256 = sha256_of(text).hexdigest()
        if root.read_back(temporary.path).sha256 != sha256:
            root.discard(temporary.path)
            raise Retry(
                f"{path / MARKER_FILE}: the disk holds other bytes than were written. No marker "
                "was placed; look at the disk, and try again."
            )
        root.publish(temporary.path, MARKER_FILE, sha256)
        return marker


def rename_no_replace(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    """renameat2(RENAME_NOREPLACE). Raises OSError: EINVAL or ENOSYS where there is none."""
    call = getattr(_libc, "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(old_directory, old, new_directory, new, ctypes.c_uint(_RENAME_NOREPLACE)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


def link(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    """A second name for a file. Raises OSError: EPERM or the like where there are none."""
    os.link(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory, follow_symlinks=False)


def _linked(old_directory: int, old: bytes, new_directory: int, new: bytes) -> bool:
    """Link; True if both names are one file now, False where the file system has no links."""
    try:
        link(old_directory, old, new_directory, new)
    except FileExistsError:
        # An earlier try may have been cut short after its link, or NFS lost the answer to ours.
        if not _same_file(old_directory, old, new_directory, new):
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _rename_if_free(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    os.stat(old, dir_fd=old_directory, follow_symlinks=False)
    _refuse_occupied(new_directory, new)
    os.rename(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)


def _refuse_occupied(directory: int, name: bytes) -> None:
    """Raises FileExistsError: something has this name."""
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=directory, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def _same_file(old_directory: int, old: bytes, new_directory: int, new: bytes) -> bool:
    return os.path.samestat(
        os.stat(old, dir_fd=old_directory, follow_symlinks=False),
        os.stat(new, dir_fd=new_directory, follow_symlinks=False),
    )


def _another(location: str, path: str, done: str) -> Retry:
    return Retry(
        f"{location}:{path}: another file has come under this name since it was looked at. {done}."
    )


def _seen(found: os.stat_result) -> Seen:
    return found.st_size, found.st_mtime_ns


def _sync_directory(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        # Some file systems (CIFS, some FUSE) sync no directories, and say so; ``probe`` records it.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _take_over(directory: int, name: bytes) -> int | None:
    """The temporary file ``name``, open and locked for this process; None if it can't be ours."""
    try:
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    # With a second name it was published already: what is appended would change that file.
    if os.fstat(fd).st_nlink == 1 and lock(fd):
        return fd
    os.close(fd)
    return None


def _not_ours(path: str) -> str:
    if parts(path)[0].lower() in (OURS.encode(), MARKER_FILE.encode()):
        raise ValueError(f"{path} is Nightferry's own")
    return path


def _kept(folder: str, path: str, token: str) -> str:
    """Where ``path`` is kept under ``token``: a function of both, so that the next try finds it."""
    return f"{folder}/{check_token(token)}/{_not_ours(path)}"


def _staged(path: str) -> list[bytes]:
    """The parts of a path below the folders of staging. Raises ValueError."""
    entry = parts(path)
    if len(entry) != 2 or entry[0].decode("ascii", "replace") not in STAGED:
        raise ValueError(f"{path} is nothing that was staged")
    return entry


def _refuse_mounts(directory: int, mount: bytes | None, said: str) -> None:
    """Raises GiveUp where another mount begins below: an archive that a person mounted there."""
    with os.scandir(directory) as found:
        below = [os.fsencode(one.name) for one in found if one.is_dir(follow_symlinks=False)]
    for name in below:
        fd = os.open(name, _FOLDER, dir_fd=directory)
        try:
            if mount_of(fd) != mount:
                raise GiveUp(
                    "a mount among what was staged",
                    f"{said}/{to_text(name)} is a mount of its own. Nothing was removed: unmount "
                    "it, then nf jobs release.",
                )
            _refuse_mounts(fd, mount, f"{said}/{to_text(name)}")
        finally:
            os.close(fd)


def _remove_tree(parent: int, name: bytes) -> None:
    """The directory ``name`` and everything in it; a link in it is removed, never followed."""
    fd = os.open(name, _FOLDER, dir_fd=parent)
    try:
        with os.scandir(fd) as found:
            entries = [(os.fsencode(one.name), one.is_dir(follow_symlinks=False)) for one in found]
        for inner, is_directory in entries:
            if is_directory:
                _remove_tree(fd, inner)
            else:
                os.unlink(inner, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent)


def _trash_entry(path: str) -> list[bytes]:
    """The parts of an entry's path.

    Raises:
        ValueError: it is not the path of an entry of the trash.
    """
    entry = parts(path)
    if b"/".join(entry[:2]) != TRASH.encode() or len(entry) < 4:
        raise ValueError(f"{path} is not in the trash")
    check_token(to_text(entry[2]))
    return entry
