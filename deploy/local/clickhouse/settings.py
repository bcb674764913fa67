"""The façade's settings and the engine's configuration files made from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

MIB = 1 << 20


@dataclass(frozen=True)
class ClickHouseSettings:
    """Where the data lie, where to listen, and what one request and the whole process may take."""

    data: Path
    port: int
    host: str = "127.0.0.1"
    memory_mib: int = 2048  # of the engine, over all queries
    body_mib: int = 512  # of one request, both as sent and decompressed
    threads: int = 16  # requests that run at once; more wait
    session_limit: int = 1000
    fsync: bool = True  # an acknowledged insert survives the loss of power, not only of the process
    user: str = "default"  # the one user
    password: str = ""  # of the one user
    users: Path | None = None  # a file of users as a server has it; the engine does all as its user `default`
    logins: Mapping[str, str] = field(default_factory=dict)  # password of each who may ask instead

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError(f"port must be 1 to 65535, not {self.port}")
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", self.user):
            raise ValueError(f"user must be letters, digits and _, not {self.user!r}")
        if self.users is not None and self.user != "default":
            raise ValueError(f"users: {self.users} says who `default` is, so that user must not be {self.user!r}")
        for name in ("memory_mib", "body_mib", "threads", "session_limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")

    @property
    def body_bytes(self) -> int:
        """Largest request body in bytes."""
        return self.body_mib * MIB


CONFIG = """<clickhouse>
    <!-- Written on every start; changes here are lost. -->
    <max_server_memory_usage>{memory}</max_server_memory_usage>
    <max_concurrent_queries>100</max_concurrent_queries>
    <query_log>
        <database>system</database>
        <table>query_log</table>
        <flush_interval_milliseconds>2000</flush_interval_milliseconds>
        <ttl>event_date + INTERVAL 3 DAY</ttl>
    </query_log>
    <part_log>
        <database>system</database>
        <table>part_log</table>
        <flush_interval_milliseconds>5000</flush_interval_milliseconds>
        <ttl>event_date + INTERVAL 3 DAY</ttl>
    </part_log>
    <merge_tree>
        <fsync_after_insert>{fsync}</fsync_after_insert>
        <fsync_part_directory>{fsync}</fsync_part_directory>
    </merge_tree>{users}
</clickhouse>
"""

# A dictionary that reads its own server does so as a user that the engine itself has to know.
USERS_PATH = """
    <user_directories>
        <users_xml>
            <path>{path}</path>
        </users_xml>
    </user_directories>"""
# As the configuration has it that servers come with: who has no grant reads no table of the system either.
STRICT = """
    <access_control_improvements>
        <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
        <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
        <on_cluster_queries_require_cluster_grant>true</on_cluster_queries_require_cluster_grant>
        <table_engines_require_grant>true</table_engines_require_grant>
    </access_control_improvements>"""
USERS = """<clickhouse>
    <!-- Written on every start; changes here are lost. -->
    <users>{users}
    </users>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
</clickhouse>
"""
USER = """
        <{name}>
            <password>{password}</password>
            <profile>default</profile>
            <quota>default</quota>
            <networks><ip>::/0</ip></networks>
        </{name}>"""


def write_config(settings: ClickHouseSettings) -> str:
    """Write the engine's configuration beside the data; returns the connection string that names both."""
    home = settings.data.absolute()
    home.mkdir(parents=True, exist_ok=True)
    path = home / "config.xml"
    users = _users(home, settings)
    path.write_text(CONFIG.format(memory=settings.memory_mib * MIB, fsync=int(settings.fsync), users=users))
    # The hyphen matters: with an underscore the engine silently ignores the file.
    return f"{home / 'engine'}?config-file={path}"


def _users(home: Path, settings: ClickHouseSettings) -> str:
    """What of the configuration says who there is."""
    if settings.users is not None:
        return USERS_PATH.format(path=escape(str(settings.users.absolute()))) + STRICT
    return _write_users(home, settings) if settings.user != "default" else ""


def _write_users(home: Path, settings: ClickHouseSettings) -> str:
    """Write the file of users and return what of the configuration names it."""
    # The engine runs as `default` inside of this process, whoever may ask from outside.
    passwords = {"default": "", settings.user: settings.password}
    users = "".join(USER.format(name=name, password=escape(password)) for name, password in passwords.items())
    path = home / "users.xml"
    path.write_text(USERS.format(users=users))
    return USERS_PATH.format(path=escape(str(path)))
