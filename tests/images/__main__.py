"""Builds the image and runs the city of docker-compose.yml for real: `make test-images`, or `python -m tests.images`.

It needs root on Debian, sets up what it needs from Debian's packages, and fails where it cannot: it never skips.
Containers, volumes and networks are gone afterwards; what was downloaded and the layers of images stay in
.urban/cache/images, so that the next run builds what changed since (`--wipe` removes the layers too).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tests.images.engine import Engine
from tests.images.machine import HOME, ROOT, CannotRunError, prepare
from tests.images.report import REPORT, note


def main() -> int:
    """The exit status of the tests; 1 where this machine cannot run them."""
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wipe", action="store_true", help="keep no images for the next run")
    given, for_pytest = parser.parse_known_args()
    began = time.monotonic()
    try:
        prepare()
    except CannotRunError as error:
        print(f"make test-images cannot run here: {error}", file=sys.stderr)
        return 1
    try:
        # It says how long each step took: what a container costs is part of what is to be known.
        # A folder of its own, as pytest would first remove what other runs have left in the one that all share.
        options = ["-v", "--durations=0", "--durations-min=1", f"--basetemp={HOME / 'tmp'}", *for_pytest]
        REPORT.unlink(missing_ok=True)
        status = subprocess.run([sys.executable, "-m", "pytest", "tests/images", *options], cwd=ROOT).returncode
        note(seconds_in_all=round(time.monotonic() - began))
        print(REPORT.read_text(), end="")
        return status
    finally:
        Engine().clean(keep_images=not given.wipe)


if __name__ == "__main__":
    sys.exit(main())
