"""What kind of file system a path lies on: from the kernel's table of mounts, without touching it.

Three things depend on the kind: whether events of writes can be trusted, whether a lease can tell
that somebody has a file open, and whether bytes that were read came from the medium.
"""

import os
from pathlib import Path

# Written to from other hosts, so no events and no leases; what is read may come from a cache there.
_REMOTE = frozenset(
    """9p afs beegfs ceph cifs fuse glusterfs gpfs lustre ncpfs nfs nfs4 orangefs panfs pvfs2 smb3
    smbfs vboxsf virtiofs""".split()  # noqa: SIM905 - a list of names reads better as text
)
# A read with O_DIRECT succeeds on these and is still answered from RAM: tmpfs has no medium, and
# ZFS answers from its own cache.
_FROM_MEMORY = frozenset({"tmpfs", "ramfs", "zfs"})


def file_system_type(path: str | bytes | Path) -> str:
    """The file system's type as the kernel names it ("ext4", "nfs4", "fuse.sshfs"), or "unknown".

    Raises:
        OSError: ``path`` cannot be looked up.
    """
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return file_system_type_of(fd)
    finally:
        os.close(fd)


def file_system_type_of(fd: int) -> str:
    """As :func:`file_system_type`, for an open descriptor: found by the mount's own number."""
    mount = mount_of(fd)
    with open("/proc/self/mountinfo", "rb") as lines:
        for line in lines:
            fields = line.split(b" ")
            if fields[0] == mount:
                # Optional fields end at a lone "-"; the type is the one after it.
                return fields[fields.index(b"-", 6) + 1].decode("ascii", "replace")
    return "unknown"


def mount_of(fd: int) -> bytes | None:
    """The number of the mount that an open descriptor is on: a directory that is mounted a second
    time has another there."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as lines:
        for line in lines:
            if line.startswith(b"mnt_id:"):
                return line.split()[1]
    return None


def is_network(kind: str) -> bool:
    """Whether other hosts may write to a file system of this type without this kernel knowing."""
    return kind in _REMOTE or kind.startswith("fuse.")


def answers_from_memory(kind: str) -> bool:
    """Whether a read of this type of file system proves nothing about a medium."""
    return kind in _FROM_MEMORY
