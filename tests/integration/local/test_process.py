"""Child processes die with their parent, stop in bounded time and leave their last words in a log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import psutil
import pytest

from deploy.local import child as launcher
from deploy.local import process
from deploy.local.process import Child, tail

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


def wait_for(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether the process has ended; one that only waits to be reaped has."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_output_lands_in_the_log_and_the_status_is_told(tmp_path: Path):
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    child = Child.start("c", [sys.executable, "-c", code], tmp_path / "logs" / "c.log")
    assert child.wait(60) == child.poll() == 3
    assert sorted(child.tail().splitlines()) == ["err", "out"]
    assert child.tail(1) in ("err", "out")


def test_environment_and_folder_are_the_given_ones(tmp_path: Path):
    code = "import os; print(os.environ['WORD'], os.environ.get('HOME'), os.getcwd())"
    child = Child.start("c", [sys.executable, "-c", code], tmp_path / "c.log", env={"WORD": "w"}, cwd=tmp_path)
    child.wait(60)
    assert child.tail() == f"w None {tmp_path}"


def test_logs_are_rotated_at_the_start(tmp_path: Path):
    log = tmp_path / "c.log"
    for number in range(6):
        Child.start("c", [sys.executable, "-c", f"print({number})"], log).wait(60)
    assert [tail(path, 5) for path in sorted(tmp_path.iterdir())] == ["5", "4", "3", "2"]


def test_a_program_that_does_not_exist_says_so_in_its_log(tmp_path: Path):
    child = Child.start("c", ["/no/such/program"], tmp_path / "c.log")
    assert child.wait(60) == launcher.EXIT_CANNOT_RUN
    assert "cannot run /no/such/program" in child.tail()


def test_stop_is_polite_first_and_then_firm(tmp_path: Path):
    polite = Child.start("p", SLEEP, tmp_path / "p.log")
    stubborn = Child.start("s", STUBBORN, tmp_path / "s.log")
    wait_for(lambda: stubborn.tail() == polite.tail() == "up")
    assert polite.stop(60) == -signal.SIGTERM
    assert stubborn.stop(0.2) == -signal.SIGKILL
    assert stubborn.stop() == -signal.SIGKILL
    assert polite.poll() == -signal.SIGTERM


def test_a_child_has_a_session_of_its_own(tmp_path: Path):
    child = Child.start("c", SLEEP, tmp_path / "c.log")
    try:
        assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
    finally:
        child.stop()


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path):
    started: list[Child] = []

    def start() -> None:
        # Until it is up: only then is it bound to its parent, and a wrong binding would show when this thread ends.
        started.append(Child.start("c", SLEEP, tmp_path / "c.log"))
        wait_for(lambda: started[0].tail() == "up")

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert started[0].poll() is None
    started[0].stop()


@pytest.mark.parametrize("mode", ["exec", "watch"])
@pytest.mark.parametrize("program", [SLEEP, STUBBORN], ids=["polite", "stubborn"])
def test_no_child_survives_a_killed_parent(tmp_path: Path, mode: str, program: list[str]):
    if mode == "exec" and sys.platform != "linux":
        pytest.skip("only Linux binds a process to its parent by itself")
    script = textwrap.dedent(f"""
        import os, subprocess, sys, time
        argv = [sys.executable, {str(Path(launcher.__file__))!r}, {mode!r}, str(os.getpid()), *{program!r}]
        child = subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        print(child.pid, flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        family = psutil.Process(int(parent.stdout.readline()))
        pids = [family.pid, *(each.pid for each in family.children(recursive=True))]
        assert len(pids) == (1 if mode == "exec" else 2)
        parent.kill()
    wait_for(lambda: all(gone(pid) for pid in pids))


def test_a_parent_already_dead_starts_nothing():
    argv = [sys.executable, str(Path(launcher.__file__)), "exec", "1", sys.executable, "-c", "print('ran')"]
    if sys.platform == "linux":
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert (answer.returncode, answer.stdout) == (launcher.EXIT_CANNOT_RUN, "")


def test_the_watching_launcher_passes_on_the_signal_and_the_status():
    argv = [sys.executable, str(Path(launcher.__file__)), "watch", str(os.getpid()), *SLEEP]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout
        assert watcher.stdout.readline() == "up\n"
        watcher.terminate()
        assert watcher.wait(60) == 128 + signal.SIGTERM


def test_a_child_whose_start_was_interrupted_does_not_stay(tmp_path: Path):
    started: list[subprocess.Popen[bytes]] = []

    def start_slowly() -> subprocess.Popen[bytes]:
        time.sleep(0.3)
        started.append(subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL))
        return started[0]

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            process._spawn_in_lasting_thread(start_slowly)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    wait_for(lambda: started and started[0].returncode is not None)
    assert started[0].returncode == -signal.SIGKILL
