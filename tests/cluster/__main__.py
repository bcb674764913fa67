"""Runs the manifests on a real control plane: `make test-cluster`, or `python -m tests.cluster`.

It needs root on Debian and Go, sets up what it needs, and fails where it cannot: it never skips as a whole. Whatever it
makes lies in build/cluster and ends with it, but for Kubernetes itself and images, which are kept in .urban/cache.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from tests.cluster.machine import HOME, prepare
from tests.images.engine import Engine
from tests.images.machine import ROOT, CannotRunError


def main() -> int:
    """The exit status of the tests; 1 where this machine cannot run them."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=(__doc__ or "").splitlines()[0])
    _, for_pytest = parser.parse_known_args()
    try:
        prepare()
    except CannotRunError as error:
        print(f"make test-cluster cannot run here: {error}", file=sys.stderr)
        return 1
    # It says what it measured and how long each step took.
    options = ["-v", "-rA", "--durations=0", "--durations-min=1", f"--basetemp={HOME / 'tmp'}", *for_pytest]
    try:
        return subprocess.run([sys.executable, "-m", "pytest", "tests/cluster", *options], cwd=ROOT).returncode
    finally:
        Engine().clean(keep_images=True)


if __name__ == "__main__":
    sys.exit(main())
