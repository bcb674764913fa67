"""What the end-to-end tests share: the `urban` command as a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_S = 150.0


class Urban:
    """The command, run in one root folder."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        kept = {name: value for name, value in os.environ.items() if not name.startswith("URBAN_")}
        self.environment = kept | {"URBAN_ROOT": str(root), "URBAN_CACHE": str(cache), "PYTHONUNBUFFERED": "1"}
        self._argv = [sys.executable, "-m", "services.cli.main"]

    def run(self, *arguments: str, text: str | None = None, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*self._argv, *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def start(self, *arguments: str) -> Running:
        """Start a command that runs on."""
        return Running(
            subprocess.Popen(
                [*self._argv, *arguments],
                cwd=REPOSITORY,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )


class Running:
    """A command that runs, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, text: str) -> str:
        """The first line with this text; fails where the command ends before, or takes for ever."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for line in list(self.lines):
                if text in line:
                    return line
            assert self.process.poll() is None, f"ended with {self.process.returncode} before {text!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {text!r} in\n{self.output}"
            time.sleep(0.1)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """The exit status, when it has ended by itself."""
        status = self.process.wait(PATIENCE_S)
        self._reader.join(10)
        return status

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.lines.extend(iter(lines.readline, ""))


@pytest.fixture(scope="session")
def download_cache() -> Path:
    """Where Kafka's jars are kept between runs: the project's own folder, or URBAN_CACHE."""
    return Path(os.environ.get("URBAN_CACHE") or REPOSITORY / ".urban" / "cache").absolute()


@pytest.fixture
def urban(tmp_path: Path, download_cache: Path) -> Urban:
    """The command, in a root folder of its own."""
    return Urban(tmp_path / "city", download_cache)


def processes_below(root: Path) -> list[str]:
    """Command lines of the processes that name this folder (Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = status.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(root) in line:
            found.append(line)
    return found
