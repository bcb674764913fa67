"""Builds the image and runs the city of docker-compose.yml for real: `make test-images`, or `python -m tests.images`.

It needs root on Debian, sets up what it needs from Debian's packages, and fails where it cannot: it never skips.
Whatever it makes lies in build/images and is gone afterwards, but for the downloaded base (`--keep` keeps the images).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tests.images.engine import Engine
from tests.images.machine import ROOT, CannotRunError, prepare
from tests.images.report import REPORT, note


def main() -> int:
    """The exit status of the tests; 1 where this machine cannot run them."""
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="keep the images for the next run")
    given, for_pytest = parser.parse_known_args()
    began = time.monotonic()
    try:
        prepare()
    except CannotRunError as error:
        print(f"make test-images cannot run here: {error}", file=sys.stderr)
        return 1
    try:
        # It says how long each step took: what a container costs is part of what is to be known.
        options = ["-v", "--durations=0", "--durations-min=1", *for_pytest]
        REPORT.unlink(missing_ok=True)
        status = subprocess.run([sys.executable, "-m", "pytest", "tests/images", *options], cwd=ROOT).returncode
        note(seconds_in_all=round(time.monotonic() - began))
        print(REPORT.read_text(), end="")
        return status
    finally:
        Engine().clean(keep_images=given.keep)


if __name__ == "__main__":
    sys.exit(main())
