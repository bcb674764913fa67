"""`python -m deploy.k8s [--check]`: make the generated manifests anew, or say which are stale (exit status 1)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from deploy.k8s.files import files, stale, write


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    if list(arguments) not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    made = files()
    differ = stale(made)
    if arguments:
        for path in differ:
            print(f"deploy/k8s/{path} is stale: make manifests", file=sys.stderr)
        return 1 if differ else 0
    write(made)
    print(f"{len(made)} files, {len(differ)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
