"""The root folder of one machine's servers (`.urban`): who holds it, its endpoints file, and wiping it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from pathlib import Path

LOCK_NAME = "lock"
ENDPOINTS_NAME = "endpoints.json"
KEPT_ON_RESET = ("cache", LOCK_NAME)
# Children of a killed process die with it, but not in the same millisecond.
DYING_PATIENCE_S = 10.0


class RootInUseError(RuntimeError):
    """Another process runs servers in this root folder; `pid` is its process id, 0 if unknown."""

    def __init__(self, root: Path, pid: int) -> None:
        super().__init__(f"{root} is in use by process {pid or 'unknown'}; stop it first, or use another folder")
        self.pid = pid


class RootLock:
    """The right to run servers in a root folder.

    It is a lock on an open file. The servers inherit that file, so the lock lasts until the last of them is gone, and a
    process that was killed leaves no stale lock behind.
    """

    def __init__(self, file_descriptor: int) -> None:
        self.file_descriptor = file_descriptor

    @classmethod
    def take(cls, root: Path) -> RootLock:
        """Take the lock of `root` (made if missing) or raise `RootInUseError`."""
        root.mkdir(parents=True, exist_ok=True)
        path = root / LOCK_NAME
        file_descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + DYING_PATIENCE_S
        while True:
            try:
                fcntl.flock(file_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = _read_pid(path)
                if _lives(holder) or time.monotonic() > deadline:
                    os.close(file_descriptor)
                    raise RootInUseError(root, holder) from None
                time.sleep(0.05)
        os.ftruncate(file_descriptor, 0)
        os.pwrite(file_descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(file_descriptor)

    def release(self) -> None:
        """Give the lock up; may be called again."""
        if self.file_descriptor >= 0:
            os.close(self.file_descriptor)
            self.file_descriptor = -1


def write_endpoints(root: Path, **more: object) -> Path:
    """Add `more` to the endpoints file of `root`, as one atomic replacement; returns its path.

    Keys given before by this process stay; those of a process that has ended do not. `pid` is always the caller's.
    """
    path = root / ENDPOINTS_NAME
    known = read_endpoints(root)
    if known.get("pid") != os.getpid():
        known = {}
    draft = path.with_name(f"{ENDPOINTS_NAME}.{os.getpid()}")
    draft.write_text(json.dumps(known | more | {"pid": os.getpid()}, indent=2) + "\n")
    draft.replace(path)
    return path


def read_endpoints(root: Path) -> dict[str, object]:
    """What the endpoints file of `root` says; empty when there is none. Raises ValueError when it is no JSON object."""
    try:
        text = (root / ENDPOINTS_NAME).read_text()
    except FileNotFoundError:
        return {}
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{root / ENDPOINTS_NAME} is not a JSON object")
    return found


def remove_endpoints(root: Path) -> None:
    """Remove the endpoints file; fine if there is none."""
    (root / ENDPOINTS_NAME).unlink(missing_ok=True)


def reset(root: Path) -> None:
    """Wipe the data and logs in `root` but not the downloads. Raises `RootInUseError` while servers run there."""
    if not root.exists():
        return
    lock = RootLock.take(root)
    try:
        for entry in root.iterdir():
            if entry.name in KEPT_ON_RESET:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    finally:
        lock.release()


def _read_pid(path: Path) -> int:
    text = path.read_text().strip()
    return int(text) if text.isdecimal() else 0


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
