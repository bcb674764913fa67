"""The embedded ClickHouse as its official image runs: user and password from CLICKHOUSE_*, data in one folder.

Where a file of users is mounted, each of them comes in by its name and the password of the environment, and no other
does. The engine, which knows one user at a time, then does what any of them asks with all rights: what each may is not
seen here.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as Xml
from pathlib import Path

from deploy.local.clickhouse.__main__ import serve
from deploy.local.clickhouse.settings import ClickHouseSettings

DATA = Path("/var/lib/clickhouse")
USERS = Path("/etc/clickhouse-server/users.d/urban.xml")
PORT, MEMORY_MIB = 8123, 1024


def from_environment() -> ClickHouseSettings:
    """One user, who may do everything."""
    user, password = os.environ["CLICKHOUSE_USER"], os.environ["CLICKHOUSE_PASSWORD"]
    return ClickHouseSettings(DATA, PORT, host="0.0.0.0", memory_mib=MEMORY_MIB, user=user, password=password)


def from_users(file: Path) -> ClickHouseSettings:
    """The users of a file for users.d, beside what a server has of its own."""
    tree = Xml.parse(file)
    users, profiles, quotas = (tree.getroot().find(name) for name in ("users", "profiles", "quotas"))
    if users is None or profiles is None or quotas is None:
        raise ValueError(f"{file} lacks users, profiles or quotas")
    for default in users.findall("default"):
        users.remove(default)
    logins = {one.tag: os.environ["CLICKHOUSE_PASSWORD"] for one in users if one.find("password") is not None}
    users.append(Xml.fromstring("<default><password/><profile>default</profile><quota>default</quota></default>"))
    Xml.SubElement(profiles, "default")
    Xml.SubElement(quotas, "default")
    whole = DATA / "users.xml"
    tree.write(whole)
    return ClickHouseSettings(DATA, PORT, host="0.0.0.0", memory_mib=MEMORY_MIB, users=whole, logins=logins)


if __name__ == "__main__":
    serve(from_users(USERS) if USERS.is_file() else from_environment())
