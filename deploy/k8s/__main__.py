"""What the manifests are made with.

`python -m deploy.k8s`            make the generated manifests anew
`python -m deploy.k8s --check`    say which are stale (exit status 1)
`python -m deploy.k8s secrets`    print a Secret with a new password for each user of ClickHouse; nothing is kept
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from secrets import token_hex

from deploy.k8s.clickhouse import secrets
from deploy.k8s.files import files, stale, write
from deploy.k8s.objects import documents
from deploy.k8s.roles import City
from services.cli.domains import find_domains

PASSWORD_BYTES = 24


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    if list(arguments) not in ([], ["--check"], ["secrets"]):
        print(__doc__, file=sys.stderr)
        return 2
    if list(arguments) == ["secrets"]:
        print(documents(secrets(City(find_domains()), lambda: token_hex(PASSWORD_BYTES))), end="")
        return 0
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
