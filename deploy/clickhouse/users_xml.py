"""The users as a file for the folder users.d of a server; passwords come from its environment."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from deploy.clickhouse.users import ANALYST, Login, User

# No text is known whose SHA-256 this is.
NO_PASSWORD_FITS = "0" * 64
LOOPBACK = ("127.0.0.1", "::1")
# Addresses that no network outside of the cluster has.
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

# Who needs no password is nobody.
WITHOUT_DEFAULT = ('        <default remove="remove"/>',)

SERVICE_PROFILE = "urban"
# One query of an analyst: it ends before it is in the way of the services. Constraints let no SET go beyond; 0 would be
# without a bound, so that they have a least value as well.
ANALYST_BOUNDS = {
    "max_execution_time": 60,
    "max_memory_usage": 4 << 30,
    "max_threads": 4,
    "max_concurrent_queries_for_user": 20,
}
# 2: nothing is changed, and settings only within the constraints.
ANALYST_READONLY = 2
LEAST = 1
# In an hour, all sessions of the user together.
ANALYST_QUOTA = {"duration": 3600, "queries": 5000, "execution_time": 3600}


def networks(user: User) -> tuple[str, ...]:
    """From where a user may come: services from other pods, people also by a port that kubectl forwards."""
    if user.login is Login.SERVICE:
        return PRIVATE
    return (*PRIVATE, *LOOPBACK) if user.login in (Login.PERSON, Login.ANALYST) else LOOPBACK


def profile(user: User) -> str:
    return ANALYST if user.login is Login.ANALYST else SERVICE_PROFILE


def quota(user: User) -> str:
    return ANALYST if user.login is Login.ANALYST else "default"


def text_of(users: Iterable[User], header: str, environment: str) -> str:
    """The whole file: users, and the bounds of analysts. Their password: the variable `environment` of the server.

    The user `default`, who needs no password, is removed.
    """
    lines = [header, "<clickhouse>", "    <users>", *WITHOUT_DEFAULT]
    for user in users:
        lines += element_of(user, user.name, environment)
    return "\n".join([*lines, "    </users>", *_bounds(), "</clickhouse>", ""])


def element_of(user: User, name: str, environment: str = "") -> list[str]:
    """One user under this name."""
    return [
        f"        <{name}>",
        f"            {_password(user, environment)}",
        "            <networks>",
        *(f"                <ip>{address}</ip>" for address in networks(user)),
        "            </networks>",
        f"            <profile>{profile(user)}</profile>",
        f"            <quota>{quota(user)}</quota>",
        *grants_of(user),
        f"        </{name}>",
    ]


def grants_of(user: User) -> list[str]:
    queries = (f"                <query>{escape(grant)}</query>" for grant in user.grants)
    return ["            <grants>", *queries, "            </grants>"]


def _password(user: User, environment: str) -> str:
    if user.login is Login.ITSELF:
        return "<no_password/>"
    if user.login is Login.NOBODY or not environment:
        return f"<password_sha256_hex>{NO_PASSWORD_FITS}</password_sha256_hex>"
    return f'<password from_env="{environment}"/>'


def _bounds() -> list[str]:
    values = [f"            <{name}>{value}</{name}>" for name, value in ANALYST_BOUNDS.items()]
    most = [
        f"                <{name}><min>{LEAST}</min><max>{value}</max></{name}>"
        for name, value in ANALYST_BOUNDS.items()
    ]
    interval = [f"                <{name}>{value}</{name}>" for name, value in ANALYST_QUOTA.items()]
    return [
        "    <profiles>",
        f"        <{SERVICE_PROFILE}/>",
        f"        <{ANALYST}>",
        f"            <readonly>{ANALYST_READONLY}</readonly>",
        *values,
        "            <constraints>",
        *most,
        "            </constraints>",
        f"        </{ANALYST}>",
        "    </profiles>",
        "    <quotas>",
        f"        <{ANALYST}>",
        "            <interval>",
        *interval,
        "            </interval>",
        f"        </{ANALYST}>",
        "    </quotas>",
    ]
