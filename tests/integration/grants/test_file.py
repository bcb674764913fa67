"""The file of users that the overlay dev mounts, read whole by the real engine: every user, and what it may."""

from __future__ import annotations

import pytest

from deploy.clickhouse.users import ANALYST, Login
from deploy.clickhouse.users_xml import ANALYST_BOUNDS, ANALYST_QUOTA
from deploy.k8s.clickhouse import DEV_VARIABLE, dev_users
from deploy.k8s.roles import City
from services.cli.domains import find_domains
from services.runtime.migrations import DICTIONARIES_USER, VIEWS_USER
from tests.integration.grants.engine import USERS, Engine, completed, rows

# Who looks at what the file says, and is not in it.
LOOKS = "<default><password/><profile>default</profile><access_management>1</access_management></default>"


def test_the_engine_reads_the_file_whole(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(DEV_VARIABLE, "a-password")
    with engine.served_with("file", completed(dev_users(City(find_domains())), LOOKS)) as client:
        found = rows(client, "SELECT name, auth_type[1], host_names FROM system.users WHERE name != 'default'")
        grants = {name: rows(client, f"SHOW GRANTS FOR {name}") for name in USERS}
        bounds = rows(
            client,
            "SELECT setting_name, value, min, max FROM system.settings_profile_elements"
            f" WHERE profile_name = '{ANALYST}' AND setting_name != 'readonly'",
        )
        quota = rows(
            client,
            f"SELECT duration, max_queries, max_execution_time FROM system.quota_limits WHERE quota_name = '{ANALYST}'",
        )
    logins = {name: login for name, login, _ in found}
    assert logins.keys() == USERS.keys()
    assert {name for name, login in logins.items() if login == "no_password"} == {DICTIONARIES_USER}
    assert {name for name, login in logins.items() if login == "sha256_password"} == {VIEWS_USER}
    from_loopback = {name for name, _, hosts in found if "localhost" in hosts}
    assert from_loopback == {user.name for user in USERS.values() if user.login is not Login.SERVICE}
    assert grants[ANALYST] == [(f"GRANT SELECT ON urban.v_* TO {ANALYST}",)]
    assert ("GRANT SELECT ON traffic.ledger TO traffic_api",) in grants["traffic_api"]
    assert ("REVOKE SELECT ON community._contacts FROM views",) in grants[VIEWS_USER]
    assert all(grants.values())
    assert {name: (value, least, most) for name, value, least, most in bounds} == {
        name: (str(value), "1", str(value)) for name, value in ANALYST_BOUNDS.items()
    }
    assert quota == [(ANALYST_QUOTA["duration"], ANALYST_QUOTA["queries"], ANALYST_QUOTA["execution_time"])]
