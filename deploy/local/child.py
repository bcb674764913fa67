"""Launcher that binds one program to the life of the process that started it, run as a file by `deploy.local.process`.

On Linux it asks the kernel to kill it when its parent dies and then becomes the program. Elsewhere it stays beside the
program and looks for its parent a few times a second. It imports the standard library only and starts in milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import NoReturn

PR_SET_PDEATHSIG = 1
WATCH_INTERVAL_S = 0.2
EXIT_CANNOT_RUN = 127


def become(argv: list[str], parent_pid: int) -> NoReturn:
    """Replace this process by `argv`, to be killed with `parent_pid` (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    # The parent may have died between fork and prctl; then no signal would ever come.
    if os.getppid() != parent_pid:
        sys.exit(EXIT_CANNOT_RUN)
    os.execvp(argv[0], argv)


def watch(argv: list[str], parent_pid: int) -> int:
    """Run `argv` beside this process and kill the whole group when `parent_pid` dies; returns the exit status."""
    program = subprocess.Popen(argv, close_fds=False)

    def forward(number: int, _frame: FrameType | None) -> None:
        program.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    while program.poll() is None:
        if os.getppid() != parent_pid:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        time.sleep(WATCH_INTERVAL_S)
    code = program.returncode
    return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    """Usage: child.py exec|watch PARENT_PID PROGRAM [ARGUMENT ...]"""
    mode, parent_pid, argv = arguments[0], int(arguments[1]), arguments[2:]
    try:
        if mode == "exec":
            become(argv, parent_pid)
        return watch(argv, parent_pid)
    except OSError as error:
        print(f"cannot run {argv[0]}: {error}", file=sys.stderr, flush=True)
        return EXIT_CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
