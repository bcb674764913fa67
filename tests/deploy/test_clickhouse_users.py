"""ClickHouse's users in the manifests: one for each role, by reference to its Secret, and the same wherever they stand.

What the engine makes of their grants is tested in tests/integration/grants.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from deploy.clickhouse.users import ANALYST, Login, User, user_of, users
from deploy.clickhouse.users_xml import NO_PASSWORD_FITS
from deploy.k8s.clickhouse import secrets, visitors
from deploy.k8s.roles import City
from services.cli.domains import find_domains
from services.core.kind import Domain
from services.runtime.migrations import DICTIONARIES_USER, VIEWS_USER, schemas
from tests.deploy.rendering import OVERLAYS, WORKLOADS, Object, containers, named, of_kind, overlay

CITY = City(find_domains())
USERS = {user.name: user for user in users(CITY.domains)}
GRANT = re.compile(r"(?:GRANT|REVOKE) ([A-Za-z, ]+) ON (\*|\w+)\.?(\S*)")


def _installation() -> Any:
    return named(overlay("prod"), "ClickHouseInstallation", "urban")["spec"]


def _in_installation() -> dict[str, dict[str, Any]]:
    """The users of the operator's object, each with what is told of it."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in _installation()["configuration"]["users"].items():
        name, _, what = key.partition("/")
        found.setdefault(name, {})[what] = value
    return found


def _in_file(text: str) -> dict[str, ElementTree.Element]:
    users_element = ElementTree.fromstring(text).find("users")
    assert users_element is not None
    return {one.tag: one for one in users_element}


def _told(one: ElementTree.Element, what: str) -> list[str]:
    return [found.text or "" for found in one.findall(what)]


def _databases(user: User) -> set[str]:
    return {
        match[2] for grant in user.grants if (match := GRANT.match(grant)) and not grant.endswith("schema_versions")
    }


def test_each_role_has_a_user_and_reaches_its_own_database_alone():
    for role in CITY.roles:
        user = USERS[user_of(role)]
        assert user.login is Login.SERVICE
        # The one right that ClickHouse knows for all or none: to read names again.
        assert _databases(user) <= {role.service, "*"}, user
        assert {grant for grant in user.grants if "*.*" in grant} <= {"GRANT SYSTEM RELOAD DICTIONARY ON *.*"}
        wide = [grant for grant in user.grants if not re.fullmatch(r"GRANT (SELECT|INSERT) ON \w+\.\w+", grant)]
        assert set(wide) <= {"GRANT SYSTEM RELOAD DICTIONARY ON *.*"}, user
    services = {user.name for user in USERS.values() if user.login is Login.SERVICE}
    assert services == {*(user_of(role) for role in CITY.roles), "migrate"}


def test_analysts_have_views_and_nothing_else():
    assert USERS[ANALYST].grants == ("GRANT SELECT ON urban.v_*",)
    for name in ("operator", "planner"):
        text = " ".join(USERS[name].grants)
        assert "passage" not in text
        assert "credential" not in text
    assert [u.name for u in USERS.values() if "_contacts" in " ".join(u.grants)] == ["contacts", VIEWS_USER]


def test_a_fifth_domain_has_users_by_its_declaration_alone():
    known = CITY.domains[0]
    made = {user.name: user for user in users((*CITY.domains, Domain("plant", "Plant", kinds=known.kinds)))}
    assert made.keys() - USERS.keys() == {"plant_api", "plant_processor", "plant_archiver"}
    assert f"GRANT INSERT ON plant.{known.kinds[0].name}" in made["plant_archiver"].grants
    assert "GRANT SELECT ON plant.entities" in made[DICTIONARIES_USER].grants


def test_the_operator_is_told_every_user_with_the_name_of_its_secret_and_no_password():
    found = _in_installation()
    assert found.keys() == {user.name for user in visitors(CITY)}
    for name, told in found.items():
        user = USERS[name]
        assert told["k8s_secret_password"] == f"{user.secret}/password"
        assert told["grants/query"] == list(user.grants)
        assert told["profile"] == (ANALYST if user.login is Login.ANALYST else "urban")
        assert "::/0" not in told["networks/ip"]
        assert not [what for what in told if "password" in what and not what.startswith("k8s_secret")]
    secret = [told["k8s_secret_password"] for told in found.values()]
    assert len(secret) == len(set(secret))


def test_nobody_logs_in_as_who_computes_views_and_none_comes_without_a_password_but_the_server_itself():
    """The operator would give such users a password that everybody knows, so that they are a file of their own."""
    within = _in_file(_installation()["configuration"]["files"]["users.d/within.xml"])
    assert within.keys() == {"default", VIEWS_USER, DICTIONARIES_USER}
    assert within["default"].get("remove") == "remove"
    assert _told(within[VIEWS_USER], "password_sha256_hex") == [NO_PASSWORD_FITS]
    assert within[DICTIONARIES_USER].find("no_password") is not None
    assert _told(within[DICTIONARIES_USER], "networks/ip") == ["127.0.0.1", "::1"]
    for name in (VIEWS_USER, DICTIONARIES_USER):
        assert _told(within[name], "grants/query") == list(USERS[name].grants)


def test_analysts_are_bounded():
    configuration = _installation()["configuration"]
    bounds = configuration["profiles"]
    assert bounds["analyst/readonly"] == 2
    for name in ("max_execution_time", "max_memory_usage", "max_threads"):
        assert bounds[f"analyst/constraints/{name}/max"] == bounds[f"analyst/{name}"]
        # 0 would be without a bound.
        assert bounds[f"analyst/constraints/{name}/min"] == 1
    assert configuration["quotas"].keys() >= {"analyst/interval/duration", "analyst/interval/execution_time"}


def test_the_server_of_one_node_has_the_same_users():
    objects = overlay("dev")
    server = named(objects, "StatefulSet", "clickhouse")
    (container,) = containers(server)
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "users")
    (volume,) = (one for one in server["spec"]["template"]["spec"]["volumes"] if one["name"] == "users")
    assert mount["mountPath"].startswith("/etc/clickhouse-server/users.d/")
    text = named(objects, "ConfigMap", volume["configMap"]["name"])["data"][mount["subPath"]]
    found = _in_file(text)
    assert found.keys() == {"default", *USERS}
    for name, user in USERS.items():
        assert _told(found[name], "grants/query") == list(user.grants)
    variables = {one.get("from_env") for name in USERS for one in found[name].findall("password")}
    assert variables <= {variable["name"] for variable in container["env"]}
    assert len(variables) == 1


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_pod_comes_as_the_user_of_its_role(name: str):
    objects = overlay(name)
    secret_of = {role.name: USERS[user_of(role)].secret for role in CITY.roles}
    seen = set()
    for work in of_kind(objects, *WORKLOADS):
        if work["metadata"]["labels"].get("app.kubernetes.io/part-of") != "urban-brain":
            continue
        role = "migrate" if work["kind"] == "Job" else work["metadata"]["name"]
        for container in containers(work):
            (reference,) = (v["valueFrom"]["secretKeyRef"] for v in container["env"] if v["name"] == "URBAN_CLICKHOUSE")
            assert reference == {"name": secret_of.get(role, USERS["migrate"].secret), "key": "url"}
        seen.add(role)
    assert seen == {*secret_of, "migrate"}


def test_secrets_are_made_for_everybody_with_a_password_of_its_own():
    passwords = iter(f"p{number}" for number in range(1000))
    made = secrets(CITY, lambda: next(passwords))
    told = {one["metadata"]["name"]: one["stringData"] for one in made}
    assert told.keys() == {user.secret for user in visitors(CITY)}
    assert len({data["password"] for data in told.values()}) == len(told)
    certificate = named(overlay("prod"), "Certificate", "clickhouse-tls")["spec"]
    for user in visitors(CITY):
        url = urlsplit(told[user.secret]["url"])
        assert (url.scheme, url.username, url.password) == ("https", user.name, told[user.secret]["password"])
        assert url.hostname in certificate["dnsNames"]
        assert url.port == _installation()["configuration"]["settings"]["https_port"]
        (authority,) = parse_qs(url.query)["ca_cert"]
        assert authority in _files_of(named(overlay("prod"), "Job", "migrate-0.1.0"), "clickhouse-tls")


def test_the_servers_speak_tls_alone_and_find_their_certificate():
    spec = _installation()
    configuration = spec["configuration"]
    (cluster,) = configuration["clusters"]
    assert (cluster["secure"], cluster["insecure"]) == ("yes", "no")
    shut = {port for port, value in configuration["settings"].items() if value == "_removed_"}
    assert shut >= {"http_port", "tcp_port", "interserver_http_port"}
    server = ElementTree.fromstring(configuration["files"]["config.d/tls.xml"])
    paths = {one.text for one in server.iter() if one.tag in ("certificateFile", "privateKeyFile", "caConfig")}
    (template,) = spec["templates"]["podTemplates"]
    (container,) = template["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    (volume,) = template["spec"]["volumes"]
    assert "subPath" not in mount
    assert (
        volume["secret"]["secretName"] == named(overlay("prod"), "Certificate", "clickhouse-tls")["spec"]["secretName"]
    )
    assert paths == {f"{mount['mountPath']}/{name}" for name in ("tls.crt", "tls.key", "ca.crt")}
    assert server.findtext("openSSL/client/verificationMode") == "strict"
    hosts = named(overlay("prod"), "Certificate", "clickhouse-tls")["spec"]["dnsNames"]
    replicas = range(cluster["layout"]["replicasCount"])
    assert {f"chi-urban-city-0-{number}.urban.svc.cluster.local" for number in replicas} <= set(hosts)


def _files_of(work: Object, secret: str) -> set[str]:
    """The files of a Secret in the pods of a workload; the same in each container, and their key is not among them."""
    pod = work["spec"]["template"]["spec"]
    (volume,) = (one for one in pod["volumes"] if one.get("secret", {}).get("secretName") == secret)
    folders = {
        mount["mountPath"] for c in containers(work) for mount in c["volumeMounts"] if mount["name"] == volume["name"]
    }
    (folder,) = folders
    return {f"{folder}/{item['path']}" for item in volume["secret"]["items"]}


def test_tables_that_users_are_granted_are_there():
    """A name that is written wrong would grant nothing, in silence."""
    made = {f"{database}.entity" for database in schemas()} | {f"{database}.schema_versions" for database in schemas()}
    for database, folder in schemas().items():
        for path in folder.glob("*.up.sql"):
            found = re.findall(r"^CREATE (?:OR REPLACE VIEW|TABLE IF NOT EXISTS) (\w+)", path.read_text(), re.MULTILINE)
            made |= {f"{database}.{table}" for table in found}
    for user in USERS.values():
        for grant in user.grants:
            match = GRANT.match(grant)
            assert match is not None, grant
            database, table = match[2], match[3]
            if database not in ("system", "*", "views") and "*" not in table:
                assert f"{database}.{table}" in made, (user.name, grant)
