"""components/clickhouse-operator: ClickHouse's users for Altinity's operator, and which pods come as which of them.

Every role's pods get the Secret of their own user, and the authority that signed the servers' certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from deploy.clickhouse import users_xml
from deploy.clickhouse.users import ANALYST, MIGRATE, Login, User, secret_of, user_of, users
from deploy.k8s.objects import HEADER, Object, resource
from deploy.k8s.roles import City, Role

API_VERSION = "clickhouse.altinity.com/v1"
INSTALLATION, CLUSTER = "urban", "city"
# The first replica: the services read what they wrote (clickhouse.yaml beside).
HOST = f"chi-{INSTALLATION}-{CLUSTER}-0-0"
PORT = 8443
# Made by cert-manager: ca.crt, tls.crt and tls.key. Servers read all three where they are mounted, clients the first.
TLS_SECRET = "clickhouse-tls"
CERTIFICATES = "/etc/urban/clickhouse"
AUTHORITY = f"{CERTIFICATES}/ca.crt"
WITHIN = "users.d/within.xml"
JOB = "migrate-version"
DEV_HOST, DEV_PASSWORD = "clickhouse:8123", "urban-dev"
# The server's variable with that password (overlays/dev/clickhouse.yaml).
DEV_VARIABLE = "CLICKHOUSE_PASSWORD"


def installation(city: City) -> Object:
    """A patch: every user that somebody comes as, with the name of its Secret and no password.

    Those that nobody logs in as are a file of their own, as the operator gives whoever has no password a known one.
    """
    all_users = users(city.domains)
    within = [user for user in all_users if user.login in (Login.NOBODY, Login.ITSELF)]
    configuration = {
        "users": dict(line for user in all_users if user not in within for line in _lines(user)),
        "profiles": dict(_profile_lines()),
        "quotas": {f"{ANALYST}/interval/{name}": value for name, value in users_xml.ANALYST_QUOTA.items()},
        "files": {WITHIN: _file_of(within)},
    }
    return resource(API_VERSION, "ClickHouseInstallation", INSTALLATION, {"spec": {"configuration": configuration}}, {})


def addresses(city: City, *, tls: bool = True) -> list[Object]:
    """Patches: each role's pods, and the migration's, come as the user of their name, and know the authority."""
    works = [
        _patch("StatefulSet" if role.profile.lasting else "Deployment", role.name, _pod(role, tls))
        for role in city.roles
    ]
    return [*works, _patch("Job", JOB, _spec(MIGRATE, [MIGRATE], tls=tls))]


def visitors(city: City) -> list[User]:
    """The users that somebody comes as, with a password."""
    return [user for user in users(city.domains) if user.login not in (Login.NOBODY, Login.ITSELF)]


def secrets(city: City, password: Callable[[], str], host: str = HOST) -> list[Object]:
    """A Secret for each user that somebody comes as: its password, and the url that holds it."""
    return [_secret(user, password(), host) for user in visitors(city)]


def dev_component(city: City) -> Object:
    """The same users on the server of the overlay dev, in the clear, with one password, which is no secret there."""
    url = "http://{}:" + f"{DEV_PASSWORD}@{DEV_HOST}"
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "configMapGenerator": [
            {"name": "urban-settings", "behavior": "merge", "literals": ["URBAN_CLICKHOUSE_GRANTS=true"]},
            {"name": "clickhouse-users", "files": ["urban.xml"]},
        ],
        "secretGenerator": [
            {
                "name": user.secret,
                "literals": [f"password={DEV_PASSWORD}", f"url={url.format(user.name)}"],
                "options": {"disableNameSuffixHash": True},
            }
            for user in visitors(city)
        ],
        "patches": [{"path": "addresses.yaml"}],
    }


def dev_users(city: City) -> str:
    """The file of users for its folder users.d."""
    return users_xml.text_of(users(city.domains), f"<!-- {HEADER.removeprefix('# ').strip()} -->", DEV_VARIABLE)


def _secret(user: User, password: str, host: str) -> Object:
    url = f"https://{user.name}:{password}@{host}:{PORT}/?ca_cert={AUTHORITY}"
    return resource("v1", "Secret", user.secret, {"stringData": {"password": password, "url": url}})


def _lines(user: User) -> Iterable[tuple[str, Any]]:
    yield f"{user.name}/k8s_secret_password", f"{user.secret}/password"
    yield f"{user.name}/networks/ip", list(users_xml.networks(user))
    yield f"{user.name}/profile", users_xml.profile(user)
    yield f"{user.name}/quota", users_xml.quota(user)
    yield f"{user.name}/grants/query", list(user.grants)


def _profile_lines() -> Iterable[tuple[str, int]]:
    yield f"{ANALYST}/readonly", users_xml.ANALYST_READONLY
    for name, value in users_xml.ANALYST_BOUNDS.items():
        yield f"{ANALYST}/{name}", value
        yield f"{ANALYST}/constraints/{name}/min", users_xml.LEAST
        yield f"{ANALYST}/constraints/{name}/max", value


def _file_of(within: Iterable[User]) -> str:
    elements = [line.removeprefix("    ") for user in within for line in users_xml.element_of(user, user.name)]
    return "\n".join(
        ["<clickhouse>", "    <users>", *users_xml.WITHOUT_DEFAULT, *elements, "    </users>", "</clickhouse>", ""]
    )


def _pod(role: Role, tls: bool) -> dict[str, Any]:
    return _spec(user_of(role), [role.role], ["wait-for-schema"], tls=tls)


def _spec(user: str, names: Iterable[str], first: Iterable[str] = (), *, tls: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [_container(name, user, tls) for name in names]}
    if waiting := [_container(name, user, tls) for name in first]:
        spec["initContainers"] = waiting
    if tls:
        items = [{"key": "ca.crt", "path": "ca.crt"}]
        secret = {"secretName": TLS_SECRET, "defaultMode": 0o440, "items": items}
        spec["volumes"] = [{"name": "clickhouse-authority", "secret": secret}]
    return spec


def _container(name: str, user: str, tls: bool) -> dict[str, Any]:
    reference = {"name": secret_of(user), "key": "url"}
    mount = {"name": "clickhouse-authority", "mountPath": CERTIFICATES, "readOnly": True}
    return {
        "name": name,
        "env": [{"name": "URBAN_CLICKHOUSE", "valueFrom": {"secretKeyRef": reference}}],
        **({"volumeMounts": [mount]} if tls else {}),
    }


def _patch(kind: str, name: str, spec: dict[str, Any]) -> Object:
    version = "batch/v1" if kind == "Job" else "apps/v1"
    return resource(version, kind, name, {"spec": {"template": {"spec": spec}}})
