"""Child processes that never outlive their parent, write to a log file, and stop in a bounded time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue

LAUNCHER = Path(__file__).with_name("child.py")
KEPT_LOGS = 3
TAIL_BYTES = 64 * 1024


class Child:
    """One running program, in a session of its own, so that Ctrl-C in the terminal reaches the parent only."""

    def __init__(self, name: str, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    def start(
        cls,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        *,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start `argv` with stdout and stderr in `log` (the former log becomes `log`.1, and so on up to .3).

        `env` replaces the environment when given. A program that cannot be run shows up as an exit status of 127 and a
        line in the log, not as an exception. The child is killed when this process dies, however it dies.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        _rotate(log)
        mode = "exec" if sys.platform == "linux" else "watch"
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), mode, str(os.getpid()), *argv]

        def spawn() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return subprocess.Popen(
                    launcher,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=None if env is None else dict(env),
                    cwd=cwd,
                    start_new_session=True,
                    pass_fds=tuple(pass_fds),
                )

        return cls(name, log, _spawn_in_lasting_thread(spawn))

    @property
    def pid(self) -> int:
        """Process id; also the id of the child's session and process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Exit status, or None while the program runs. Negative: the signal that ended it."""
        return self._process.poll()

    def tail(self, lines: int = 20) -> str:
        """The last `lines` lines of the log."""
        return tail(self.log, lines)

    def terminate(self) -> None:
        """Ask the program to end (SIGTERM); does nothing when it already has."""
        self._process.terminate()

    def kill(self) -> None:
        """End the program and everything in its process group at once (SIGKILL)."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float | None = None) -> int:
        """Exit status once the program ends; raises `subprocess.TimeoutExpired` after `timeout_s` seconds."""
        return self._process.wait(timeout_s)

    def stop(self, timeout_s: float = 10.0) -> int:
        """SIGTERM, up to `timeout_s` seconds of patience, then SIGKILL to the group; returns the exit status."""
        self.terminate()
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()


def tail(log: Path, lines: int) -> str:
    """The last `lines` lines of a text file, as far as its last 64 KiB hold them; empty when there is no file."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _rotate(log: Path) -> None:
    for number in range(KEPT_LOGS, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


# The kernel's parent-death signal follows the *thread* that forked. A child started from a short-lived worker thread
# would be killed when that thread ends, so every fork happens in one thread that lasts as long as the process.
_Task = tuple[Callable[[], "subprocess.Popen[bytes]"], "Future[subprocess.Popen[bytes]]"]
_spawner_guard = threading.Lock()
_spawner: tuple[int, SimpleQueue[_Task]] | None = None


def _spawn_in_lasting_thread(spawn: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    global _spawner
    with _spawner_guard:
        # A forked copy of this process has the queue but not the thread.
        if _spawner is None or _spawner[0] != os.getpid():
            _spawner = (os.getpid(), SimpleQueue())
            threading.Thread(target=_serve_spawns, args=(_spawner[1],), name="spawner", daemon=True).start()
        queue = _spawner[1]
    future: Future[subprocess.Popen[bytes]] = Future()
    queue.put((spawn, future))
    try:
        return future.result()
    except BaseException:
        # Ctrl-C came while the child was being started: nobody will ever hold it, so it must not stay.
        future.add_done_callback(_kill_unclaimed)
        raise


def _kill_unclaimed(future: Future[subprocess.Popen[bytes]]) -> None:
    if future.exception() is None:
        process = future.result()
        process.kill()
        process.wait()


def _serve_spawns(queue: SimpleQueue[_Task]) -> None:
    while True:
        spawn, future = queue.get()
        try:
            future.set_result(spawn())
        except Exception as error:  # noqa: BLE001  (handed to the caller, who raises it)
            future.set_exception(error)
