"""A real file system that can lose power, fill up, freeze: ext4 or XFS on a loop-mounted image.

``cut`` is the shutdown ioctl of ext4 (the same number as XFS_IOC_GOINGDOWN) with NOLOGFLUSH: whatever was not made
durable is gone, every later call fails with EIO; mounting again replays the journal as after a power failure. What the
model does not do: it never tears or reorders blocks, and it spares what the kernel had already written back; the
memory model of ``lifeline.testing`` does those.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.conftest import missing

SHUTDOWN = 0x8004587D
"""_IOR('X', 125, __u32): EXT4_IOC_SHUTDOWN."""
LOGFLUSH, NOLOGFLUSH = 1, 2
XFS_MIB_MIN = 320
"""mkfs.xfs makes nothing below 300 MiB."""
FILE_SYSTEMS = ["ext4", *(["xfs"] if shutil.which("mkfs.xfs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") else [])]
"""Power cuts are tried on XFS too where xfsprogs is installed."""


def run(*command: str | Path, timeout: float = 30) -> str:
    """A program that must succeed; its output is in the error."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"
    return done.stdout


@cache
def why_no_loop_mounts(kind: str = "ext4") -> str | None:
    """Why no file system of this kind can be mounted here, None when it can."""
    if os.geteuid() != 0:
        return "power cuts need root (they mount an image and shut it down)"
    for program in (f"mkfs.{kind}", "mount", "umount"):
        if shutil.which(program) is None and shutil.which(program, path="/usr/sbin:/sbin") is None:
            return f"{program} is not installed (Debian: apt-get install e2fsprogs xfsprogs mount)"
    return None


class LoopDisk:
    """An image, mounted. In memory where there is room: a cut takes a tenth of a second then."""

    def __init__(self, folder: Path, *, mib: int = 192, inodes: int = 0, kind: str = "ext4") -> None:
        if (reason := why_no_loop_mounts(kind)) is not None:
            missing(reason)
        mib = max(mib, XFS_MIB_MIN) if kind == "xfs" else mib
        memory = Path("/dev/shm")  # noqa: S108 - an image of our own, under a name of our own
        in_memory = memory.is_dir() and shutil.disk_usage(memory).free > 4 * mib << 20
        self.image = (memory if in_memory else folder) / f"lifeline-{os.getpid()}-{time.monotonic_ns()}.{kind}"
        self.mount_point = folder / "disk"
        self.mount_point.mkdir(parents=True)
        with self.image.open("wb") as file:
            file.truncate(mib << 20)
        force = "-f" if kind == "xfs" else "-F"
        run(f"mkfs.{kind}", "-q", force, *(["-N", str(inodes)] if inodes else []), self.image)
        self.cuts = 0
        try:
            self.mount()
        except AssertionError as error:
            self.image.unlink()
            missing(f"a loop mount is refused here: {error}")

    def mount(self) -> None:
        run("mount", "-o", "loop,noatime", self.image, self.mount_point)

    def unmount(self) -> None:
        """Wait until nobody holds a file there."""
        deadline = time.monotonic() + 20
        while True:
            try:
                run("umount", self.mount_point)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def cut(self, how: int = NOLOGFLUSH) -> None:
        """Power goes now; ``power_on`` after the victim is gone."""
        fd = os.open(self.mount_point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, how.to_bytes(4, "little"))
        finally:
            os.close(fd)
        self.cuts += 1

    def power_on(self) -> None:
        """Mount again: the file system replays its journal."""
        self.unmount()
        self.mount()

    def freeze(self) -> None:
        """Writers block until ``thaw``; nobody can kill them meanwhile."""
        run("fsfreeze", "-f", self.mount_point)

    def thaw(self) -> None:
        run("fsfreeze", "-u", self.mount_point)

    def fill(self, leave_bytes: int = 0) -> None:
        """Take the free space with a file beside the victim's; ``empty`` gives it back."""
        with (self.mount_point / "ballast").open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 16, 1 << 12):
                block = bytes(size)
                while shutil.disk_usage(self.mount_point).free - leave_bytes >= size:
                    try:
                        file.write(block)
                    except OSError:
                        break
            if not leave_bytes:
                with suppress(OSError):
                    while file.write(bytes(512)):
                        continue
            with suppress(OSError):
                os.fsync(file.fileno())

    def empty(self) -> None:
        (self.mount_point / "ballast").unlink(missing_ok=True)
        for path in self.mount_point.glob("inode-*"):
            path.unlink()

    def take_inodes(self) -> None:
        """Create empty files until there is no inode left."""
        try:
            for number in range(1 << 20):
                (self.mount_point / f"inode-{number}").touch()
        except OSError:
            return

    def close(self) -> None:
        """Take it away, also from a failed test that still holds a file there: the next run must not find it."""
        try:
            if os.path.ismount(self.mount_point):
                self.unmount()
        except AssertionError:
            run("umount", "--lazy", self.mount_point)
            raise
        finally:
            self.image.unlink(missing_ok=True)
