"""`several.py NUMBER MODULE ARGUMENTS…`: the module in that many processes, all ended with this one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

LOOK_S = 0.2
STOP_S = 30.0


def main() -> int:
    """Until SIGTERM, or until one of them ends: then its status."""
    number, module, *arguments = sys.argv[1:]
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True

    signal.signal(signal.SIGTERM, stop)
    started = [subprocess.Popen([sys.executable, "-m", module, *arguments]) for _ in range(int(number))]
    while not asked and all(process.poll() is None for process in started):
        time.sleep(LOOK_S)
    status = next((process.returncode for process in started if process.returncode), 0)
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return status


if __name__ == "__main__":
    sys.exit(main())
