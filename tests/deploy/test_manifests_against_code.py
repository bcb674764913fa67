"""Manifests and code agree: settings, commands, ports, topics, groups, names of services. Nothing is told twice."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from deploy.k8s.network import MONITORING_LABEL
from deploy.k8s.roles import PROFILES, City, Role
from services.cli.domains import find_domains, service_names
from services.core.kind import Domain
from services.runtime.catalogue import consumer_group
from services.runtime.certificates import AUTHORITY, CERTIFICATE, KEY
from services.runtime.settings import Settings
from tests.deploy.rendering import (
    OVERLAYS,
    ROOT,
    WORKLOADS,
    Object,
    combination,
    containers,
    named,
    of_kind,
    overlay,
)

BENCHMARKS = ROOT / "tests" / "benchmarks"
CITY = City(find_domains())
FIELDS = {f"URBAN_{name.upper()}" for name in Settings.model_fields}


def _settings(objects: tuple[Object, ...]) -> dict[str, str]:
    (found,) = (one for one in of_kind(objects, "ConfigMap") if one["metadata"]["name"].startswith("urban-settings"))
    data: dict[str, str] = found["data"]
    return data


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_variable_is_a_setting_and_has_a_value_that_it_takes(name, monkeypatch):
    objects = overlay(name)
    given = _settings(objects)
    assert set(given) <= FIELDS
    for work in of_kind(objects, *WORKLOADS):
        for container in containers(work):
            ours = [v["name"] for v in container.get("env", ()) if v["name"].startswith("URBAN_")]
            assert set(ours) <= FIELDS
            assert len(ours) == len(set(ours))
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("URBAN_INSTANCE", "traffic-processor-0")
    monkeypatch.setenv("URBAN_STATIC_MEMBER", "true")
    settings = Settings()  # type: ignore[call-arg]  # every field has a default
    assert (settings.grpc_host, settings.metrics_host) == ("0.0.0.0", "0.0.0.0")
    assert settings.session_timeout_seconds == 30


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_role_of_every_service_is_deployed_by_the_command_that_it_knows(name):
    commands = {
        tuple(containers(work)[-1]["command"])
        for work in of_kind(overlay(name), "Deployment", "StatefulSet")
        if containers(work)[-1]["image"].rpartition("/")[2].startswith("urban-brain")
    }
    told = {("python", "-m", f"services.{s}", role) for s in service_names() for role in _roles(s)}
    assert commands == told


def _roles(service: str) -> set[str]:
    """What the service itself says it knows."""
    said = subprocess.run([sys.executable, "-m", f"services.{service}"], capture_output=True, text=True, cwd=ROOT)
    assert said.returncode == 2, said.stderr
    (known,) = re.findall(rf"usage: python -m services\.{service} (\S+)", said.stderr)
    return set(known.split("|")) - {"all"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_ports_are_those_that_the_settings_say(name):
    objects = overlay(name)
    ports = {kind: int(_settings(objects)[f"URBAN_{kind.upper()}_PORT"]) for kind in ("grpc", "metrics")}
    for role in CITY.roles:
        work = named(objects, "StatefulSet" if role.profile.lasting else "Deployment", role.name)
        found = {port["name"]: port["containerPort"] for port in containers(work)[-1]["ports"]}
        own = {v["name"]: v.get("value") for v in containers(work)[-1]["env"]}
        probes = {"probes": int(own["URBAN_PROBE_PORT"])} if "URBAN_PROBE_PORT" in own else {}
        assert found == ports | probes
    for policy in of_kind(objects, "NetworkPolicy"):
        labels = policy["spec"]["podSelector"]["matchLabels"]
        if "app.kubernetes.io/component" in labels and "Ingress" in policy["spec"]["policyTypes"]:
            let_in = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
            api = labels["app.kubernetes.io/component"] == "api"
            assert let_in == ({ports["metrics"], ports["grpc"]} if api else {ports["metrics"]})


def test_services_may_go_to_the_servers_that_their_settings_name():
    objects = overlay("prod")
    kafka = _settings(objects)["URBAN_KAFKA"]
    cluster = named(objects, "Kafka", "urban")
    (listener,) = cluster["spec"]["kafka"]["listeners"]
    assert listener["tls"]
    assert listener["authentication"] == {"type": "tls"}
    assert kafka == f"{cluster['metadata']['name']}-kafka-bootstrap:{listener['port']}"
    egress = named(objects, "NetworkPolicy", "to-servers")["spec"]["egress"]
    to_pods = [(to["podSelector"], rule) for rule in egress for to in rule["to"] if "podSelector" in to]
    by_pods = {tuple(pods["matchLabels"].items()): _ports(rule) for pods, rule in to_pods}
    assert int(kafka.rpartition(":")[2]) in by_pods[("strimzi.io/cluster", "urban"),]
    database = named(objects, "ClickHouseInstallation", "urban")["metadata"]["name"]
    assert by_pods[("clickhouse.altinity.com/chi", database),] == {8123, 8443}


def test_spans_may_go_to_the_collector_that_the_component_names():
    objects = combination(("network-policies", "tracing"))
    told = {name: value for name, value in _settings(objects).items() if name in ("URBAN_OTLP", "URBAN_TRACE_RATIO")}
    settings = Settings.model_validate({n.removeprefix("URBAN_").lower(): value for n, value in told.items()})
    assert 0 < settings.trace_ratio < 1
    egress = named(objects, "NetworkPolicy", "to-servers")["spec"]["egress"]
    monitoring = {"namespaceSelector": {"matchLabels": MONITORING_LABEL}}
    assert [_ports(rule) for rule in egress if monitoring in rule["to"]] == [{urlsplit(settings.otlp).port}]
    assert _settings(combination(("network-policies",))).keys() & told.keys() == set(), "off by default"


def _ports(rule: Object) -> set[int]:
    return {port["port"] for port in rule["ports"]}


def test_there_is_one_topic_for_each_of_the_catalogue():
    made = of_kind(combination(("kafka-strimzi",)), "KafkaTopic")
    told = {t.name: (t.partitions, t.configs) for t in CITY.topics}
    assert {m["spec"]["topicName"]: (m["spec"]["partitions"], m["spec"]["config"]) for m in made} == told
    least = named(combination(("kafka-strimzi",)), "Kafka", "urban")["spec"]["kafka"]["config"]["min.insync.replicas"]
    assert all(m["spec"]["replicas"] > least for m in made)


def _allowed(user: Object, resource: str) -> dict[str, set[str]]:
    acls = [acl for acl in user["spec"]["authorization"]["acls"] if acl["resource"]["type"] == resource]
    assert all(acl["resource"]["patternType"] == "literal" for acl in acls)
    found = {acl["resource"]["name"]: set(acl["operations"]) for acl in acls}
    assert len(found) == len(acls)
    return found


def test_each_role_has_a_principal_that_may_do_what_the_catalogue_says_and_no_more():
    objects = combination(("kafka-strimzi",))
    users = {one["metadata"]["name"]: one for one in of_kind(objects, "KafkaUser")}
    assert set(users) == {*(role.name for role in CITY.roles), "keda"}
    scaler = {**_allowed(users["keda"], "topic"), **_allowed(users["keda"], "group")}
    assert set().union(*scaler.values()) == {"Describe"}
    for role in CITY.roles:
        topics = _allowed(users[role.name], "topic")
        assert {n for n, may in topics.items() if "Read" in may} == {t.name for t in CITY.read(role)}
        assert {n for n, may in topics.items() if "Write" in may} == {t.name for t in CITY.written(role)}
        assert set().union(*topics.values()) <= {"Describe", "DescribeConfigs", "Read", "Write"}
        assert all("Describe" in may for may in topics.values())
        # Of another domain it may not even know the topics.
        others = {d.name for d in CITY.domains} - {role.service}
        assert not [name for name in topics if others & set(name.split(".")[1:3])]


def test_each_role_comes_to_kafka_with_the_certificate_of_its_own_user():
    """The files are those that services/runtime/certificates.py reads, and nothing is shown to another role."""
    for role in CITY.roles:
        objects = combination(("kafka-strimzi",))
        pod = named(objects, "StatefulSet" if role.profile.lasting else "Deployment", role.name)["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        folder = {one["name"]: one.get("value") for one in container["env"]}["URBAN_KAFKA_TLS"]
        (mount,) = (one for one in container["volumeMounts"] if one["mountPath"] == folder)
        (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == mount["name"])
        secrets = [source["secret"] for source in volume["projected"]["sources"]]
        assert [secret["name"] for secret in secrets] == [role.name, "urban-cluster-ca-cert"]
        files = {item["path"]: item["key"] for secret in secrets for item in secret["items"]}
        assert files == {CERTIFICATE: "user.crt", KEY: "user.key", AUTHORITY: "ca.crt"}


def test_groups_are_those_that_the_code_joins():
    """The code names a group by this function alone, so that its calls say who joins one."""
    joined = set()
    for path in (ROOT / "services").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'group_id=f?"', text), path
        joined |= {(path.parent.name, role) for role in re.findall(r'consumer_group\(\S+, "(\w+)"\)', text)}
    services = {"runtime": [d.name for d in CITY.domains], "correlation": ["correlation"]}
    groups = {consumer_group(service, role) for folder, role in joined for service in services[folder]}
    users = of_kind(combination(("kafka-strimzi",)), "KafkaUser")
    assert {name for user in users if user["metadata"]["name"] != "keda" for name in _allowed(user, "group")} == groups
    scaled = {t["metadata"]["consumerGroup"] for one in _scaled() for t in one["spec"]["triggers"]}
    assert scaled <= groups
    (scaler,) = (user for user in users if user["metadata"]["name"] == "keda")
    assert scaled <= set(_allowed(scaler, "group"))
    assert scaled


def _scaled() -> list[Object]:
    return of_kind(combination(("keda",)), "ScaledObject")


def test_workers_scale_on_what_they_read_up_to_one_for_each_partition():
    topics = {topic.name: topic for topic in CITY.topics}
    for one in _scaled():
        service, _, role = one["metadata"]["name"].rpartition("-")
        triggers = [trigger["metadata"] for trigger in one["spec"]["triggers"]]
        assert {t["topic"] for t in triggers} == {t.name for t in CITY.shared_out(Role(service, role))}
        assert {topics[t["topic"]].partitions for t in triggers} == {one["spec"]["maxReplicaCount"]}
        assert {t["offsetResetPolicy"] for t in triggers} == {"earliest"}
        assert one["spec"]["minReplicaCount"] >= 2
        assert all(isinstance(value, str) for t in triggers for value in t.values())


def test_routes_name_services_of_the_contracts():
    for route in of_kind(combination(("gateway",)), "GRPCRoute"):
        (rule,) = route["spec"]["rules"]
        service = route["metadata"]["name"].removesuffix("-api")
        named_in_contract = re.findall(
            r"^service (\w+) \{", (ROOT / "proto" / "urban" / service / "v1" / "service.proto").read_text(), re.M
        )
        told = {match["method"]["service"] for match in rule["matches"]}
        assert told == {f"urban.{service}.v1.{name}" for name in named_in_contract}


def test_memory_that_is_given_is_above_what_was_measured():
    """Of workers that fold, at 100,000 and a million entities; of an archiver that stores; of an api that waits."""
    ingest, scale = (json.loads((BENCHMARKS / name).read_text()) for name in ("ingest.json", "scale.json"))
    peak = {row["entities"]: row["peak_pss_mb"] for row in scale["sweeps"]["entities"]}
    asked = {
        "api": ingest["startup"]["now"]["traffic api"]["idle_rss_mb"],
        "processor": peak[102_400],
        "archiver": scale["sizes"]["archiver"]["pss_mb"],
    }
    for role, measured in asked.items():
        assert PROFILES[role].memory_request_mib > 1.2 * measured, role
        assert PROFILES[role].memory_limit_mib > 2 * PROFILES[role].memory_request_mib, role
    assert PROFILES["processor"].memory_limit_mib > 2 * peak[999_424]


def test_a_fifth_domain_is_deployed_by_its_declaration_alone():
    known = CITY.domains[0]
    city = City((*CITY.domains, Domain("plant", "Plant", kinds=known.kinds)))
    names = {role.name for role in city.roles} - {role.name for role in CITY.roles}
    assert names == {"plant-api", "plant-processor", "plant-archiver"}
