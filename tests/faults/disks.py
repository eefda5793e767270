"""Disks that a test mounts at locations of its own folder, and takes away again in many ways.

A disk is a folder that is mounted somewhere else: bound there by the kernel, or shown there by a FUSE
program. What has been mounted is unmounted at the end, whatever happened.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from nightferry.testing.sites import environment, wait_until

ROOT = Path(__file__).resolve().parents[2]


@cache
def why_not_mounted() -> str:
    """Why nothing can be mounted here, or ''."""
    if os.geteuid() != 0:
        return "only root may mount disks"
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "root may not mount disks on this machine"


@cache
def why_no_fuse() -> str:
    """Why no FUSE file system can be mounted here, or ''."""
    if shutil.which("fusermount3") is None:
        return "fuse3 is not installed"
    if importlib.util.find_spec("mfusepy") is None:
        return "mfusepy is not installed"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse is not there, or closed to us"
    return why_not_mounted()


class Disk:
    """A folder beside the mount point, mounted at it by :meth:`bind` or :meth:`fuse`."""

    def __init__(self, mount_point: Path) -> None:
        self.mount_point = mount_point
        beside = mount_point.parent / f"{mount_point.name}.disk"
        self.folder, self.gate = beside, mount_point.parent / f"{mount_point.name}.shut"
        self._fuse: subprocess.Popen[bytes] | None = None
        mount_point.mkdir(parents=True)
        beside.mkdir()

    # --- mounted

    def bind(self, folder: Path | None = None) -> None:
        _mount("--bind", str(folder or self.folder), str(self.mount_point))

    def fuse(self) -> None:
        self._fuse = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.fuse_disk",
             str(self.folder), str(self.mount_point), str(self.gate)],
            cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(self.is_mounted, 30, "the FUSE file system")

    def is_mounted(self) -> bool:
        mounted = f" {self.mount_point} "
        return mounted in Path("/proc/self/mountinfo").read_text()

    # --- and in trouble

    def unmount(self) -> None:
        """As it is, whoever still has something open: it is out of sight, and lives on for them."""
        subprocess.run(["umount", "-l", str(self.mount_point)], check=True)

    def exchange(self) -> None:
        """For a copy of it, in one moment: the same files, and another disk."""
        copy = self.folder.with_name(f"{self.folder.name}.copy")
        shutil.copytree(self.folder, copy)
        self.bind(copy)
        self.folder = copy

    def read_only(self, yes: bool = True) -> None:
        _mount("-o", f"remount,bind,{'ro' if yes else 'rw'}", str(self.mount_point))

    def hang(self) -> None:
        """Whoever asks it anything from now on waits, and can't be killed."""
        self.gate.with_suffix(".waits").unlink(missing_ok=True)
        self.gate.touch()

    def is_waited_for(self) -> bool:
        return self.gate.with_suffix(".waits").exists()

    def answer(self) -> None:
        self.gate.unlink(missing_ok=True)

    def die(self) -> None:
        """The FUSE program is killed: the mount stays, and nothing answers there."""
        assert self._fuse is not None
        self._fuse.send_signal(signal.SIGKILL)
        self._fuse.wait()

    def gone(self) -> None:
        """Nothing is mounted any more."""
        self.answer()
        while self.is_mounted():
            self.unmount()
        if self._fuse is not None and self._fuse.poll() is None:
            self._fuse.kill()
            self._fuse.wait()


@contextmanager
def disks(*mount_points: Path) -> Iterator[list[Disk]]:
    made: list[Disk] = []
    try:
        for mount_point in mount_points:
            made.append(Disk(mount_point))
        yield made
    finally:
        for disk in made:
            disk.gone()


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"mount {' '.join(words)}: {done.stderr.strip()}")
