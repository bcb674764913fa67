"""`urban reset`: wipes the data of this machine's city and keeps what was downloaded."""

from __future__ import annotations

from services.cli.addresses import find_root
from services.cli.output import RootOption, fail, say


def reset(root: RootOption = None) -> None:
    """Wipe all data of the city on this machine; downloads stay. Refused while it runs."""
    from deploy.local.root import RootInUseError
    from deploy.local.root import reset as wipe

    folder = find_root(root)
    try:
        wipe(folder)
    except RootInUseError as error:
        fail(str(error))
    say(f"{folder}: data wiped, downloads kept")
