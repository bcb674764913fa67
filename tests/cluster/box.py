"""A box: network, mounts and processes of their own, which end with it, and it with the process that made it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from deploy.local.process import Child
from tests.cluster.machine import HOME
from tests.images.machine import ROOT

INIT = Path(__file__).with_name("box_init.py")
READY_TIMEOUT_S = 60.0


class Box:
    """Where a cluster runs: its ports and processes are nobody else's, so nothing has to be put back."""

    def __init__(self, name: str) -> None:
        self.folder = HOME / "boxes" / name
        self._programs: dict[str, Child] = {}
        self._pid = 0

    def __enter__(self) -> Box:
        self._forget()
        self.folder.mkdir(parents=True, exist_ok=True)
        apart = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        log = self.folder / "log" / "box.log"
        self._init = Child.start("box", ["unshare", *apart, sys.executable, "-I", str(INIT)], log)
        began = time.monotonic()
        while "ready" not in self._init.tail():
            if self._init.poll() is not None or time.monotonic() - began > READY_TIMEOUT_S:
                raise AssertionError(f"the box did not come up:\n{self._init.tail()}")
            time.sleep(0.05)
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text().split()
        self._pid = int(children[0])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Everything inside dies with its process 1.
        self._init.kill()
        self._init.wait(30.0)
        for program in self._programs.values():
            program.kill()
            program.wait(30.0)
        self._forget(keep="log")

    def _forget(self, keep: str = "") -> None:
        """Remove the folder but for `keep`, whoever still wrote to it a moment ago."""
        began = time.monotonic()
        while left := [path for path in self.folder.glob("*") if path.name != keep]:
            for path in left:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            if time.monotonic() - began > READY_TIMEOUT_S:
                raise AssertionError(f"cannot remove {left}")

    def entering(self, *command: str, inside: bool) -> list[str]:
        """How a command is run in the network of the box; `inside`: with its mounts and processes, too."""
        more = ["--mount", "--pid"] if inside else []
        return ["nsenter", "--target", str(self._pid), "--net", *more, "--", *command]

    def start(self, name: str, *command: str, environment: Mapping[str, str] | None = None) -> Child:
        """Start a program inside; its output goes to log/NAME.log."""
        argv = self.entering(*command, inside=True)
        merged = None if environment is None else {**os.environ, **environment}
        self._programs[name] = Child.start(name, argv, self.folder / "log" / f"{name}.log", merged, self.folder)
        return self._programs[name]

    def run(
        self,
        *command: str,
        typed: str | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 300.0,
        inside: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that sees the network of the box and the files of this machine, or `inside` its own."""
        argv = self.entering(*command, inside=inside)
        merged = {**os.environ, **(environment or {})}
        return subprocess.run(
            argv, input=typed, env=merged, capture_output=True, text=True, cwd=ROOT, timeout=timeout_s
        )

    def has_ended(self) -> list[str]:
        """Programs that are no more, each with its last words."""
        ended = [program for program in self._programs.values() if program.poll() is not None]
        return [f"{program.name} ended:\n{program.tail()}" for program in ended]
