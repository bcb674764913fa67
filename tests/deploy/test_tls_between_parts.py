"""gRPC by TLS in prod, in the clear on one node; certificates, rules and webhooks come by components of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.k8s.roles import City
from services.cli.domains import find_domains
from services.correlation.rules import FOLDER, read_rules, read_texts
from services.runtime.certificates import AUTHORITY, CERTIFICATE, KEY
from tests.deploy.rendering import K8S, KUBECTL, Object, combination, containers, named, of_kind, overlay

CITY = City(find_domains())
APIS = [role for role in CITY.roles if role.role == "api"]
OTHERS = [role for role in CITY.roles if role.role != "api"]


def _pods(objects: tuple[Object, ...], name: str, kind: str = "Deployment") -> tuple[Any, dict[str, Any]]:
    """The container of a role, and its pod's volumes by name."""
    work = named(objects, kind, name)
    (container,) = (one for one in containers(work) if one["name"] != "wait-for-schema")
    return container, {one["name"]: one for one in work["spec"]["template"]["spec"]["volumes"]}


def _values(container: Any) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


@pytest.mark.parametrize("role", APIS, ids=lambda role: role.name)
def test_an_api_speaks_tls_with_a_certificate_of_its_own_name_and_probes_need_none(role):
    objects = overlay("prod")
    container, volumes = _pods(objects, role.name)
    values = _values(container)
    (mount,) = (one for one in container["volumeMounts"] if one["mountPath"] == values["URBAN_GRPC_TLS"])
    assert "subPath" not in mount, "it would not change with the Secret"
    secret = volumes[mount["name"]]["secret"]["secretName"]
    certificate = named(objects, "Certificate", secret)["spec"]
    assert certificate["secretName"] == secret
    assert f"{role.name}.urban.svc.cluster.local" in certificate["dnsNames"]
    assert {"server auth", "client auth"} <= set(certificate["usages"])
    assert {AUTHORITY, CERTIFICATE, KEY} == {"ca.crt", "tls.crt", "tls.key"}, "as cert-manager names them"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["probes"] == int(values["URBAN_PROBE_PORT"]) != ports["grpc"]
    probes = {container[probe]["grpc"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {ports["probes"]}
    (port,) = named(objects, "Service", role.name)["spec"]["ports"]
    assert (port["targetPort"], port.get("appProtocol")) == ("grpc", None)


def test_on_one_node_nothing_of_it_is_switched_on():
    objects = overlay("dev")
    assert of_kind(objects, "Certificate", "Issuer", "BackendTLSPolicy") == []
    for role in APIS:
        container, _ = _pods(objects, role.name)
        assert not {"URBAN_GRPC_TLS", "URBAN_PROBE_PORT"} & _values(container).keys()
        assert named(objects, "Service", role.name)["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/h2c"


def test_workers_whom_nobody_calls_need_no_certificate_for_grpc():
    for role in OTHERS:
        container, _ = _pods(overlay("prod"), role.name, "StatefulSet" if role.profile.lasting else "Deployment")
        assert "URBAN_GRPC_TLS" not in _values(container)


def test_the_gateway_calls_every_backend_by_tls_and_shows_a_certificate():
    objects = overlay("prod")
    policies = {one["spec"]["targetRefs"][0]["name"]: one["spec"] for one in of_kind(objects, "BackendTLSPolicy")}
    backends = {
        reference["name"]
        for route in of_kind(objects, "GRPCRoute")
        for rule in route["spec"]["rules"]
        for reference in rule["backendRefs"]
    }
    assert backends == policies.keys()
    secrets = {one["spec"]["secretName"]: one["spec"] for one in of_kind(objects, "Certificate")}
    for name, spec in policies.items():
        (authority,) = spec["validation"]["caCertificateRefs"]
        assert spec["validation"]["hostname"] in secrets[authority["name"]]["dnsNames"]
        ports = {port["name"] for port in named(objects, "Service", name)["spec"]["ports"]}
        assert {reference["sectionName"] for reference in spec["targetRefs"]} <= ports
    shown = named(objects, "Gateway", "urban")["spec"]["tls"]["backend"]["clientCertificateRef"]["name"]
    assert "client auth" in secrets[shown]["usages"]


def test_one_authority_signs_all_and_every_certificate_is_renewed_in_time():
    objects = overlay("prod")
    authority = named(objects, "Certificate", "urban-authority")["spec"]
    issuers = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "Issuer")}
    assert issuers["urban-authority"] == {"ca": {"secretName": authority["secretName"]}}
    assert authority["isCA"] is True
    for one in of_kind(objects, "Certificate"):
        spec = one["spec"]
        if spec is not authority:
            assert spec["issuerRef"] == {"kind": "Issuer", "name": "urban-authority"}
            assert int(spec["renewBefore"].removesuffix("h")) < int(spec["duration"].removesuffix("h"))
            assert not spec.get("isCA")


RULES = ("rules",)


@pytest.mark.parametrize("role", ["processor", "responder"])
def test_rules_are_mounted_as_a_folder_that_changes_with_their_configmap(role):
    objects = combination(RULES)
    container, volumes = _pods(objects, f"correlation-{role}", "StatefulSet")
    (mount,) = (one for one in container["volumeMounts"] if one["mountPath"] == _values(container)["URBAN_RULES"])
    assert "subPath" not in mount
    name = volumes[mount["name"]]["configMap"]["name"]
    # Without a hash in its name: a change of rules starts no pod anew.
    assert name == "urban-rules"
    assert named(objects, "ConfigMap", name)["data"] == read_texts(FOLDER)


def test_rules_of_an_overlay_take_the_place_of_those_that_are_shipped(tmp_path: Path):
    """By a component that is listed after ours, as deploy/README.md says."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "crowd_road_pressure.yaml").write_text((FOLDER / "crowd_road_pressure.yaml").read_text())
    generator = {"name": "urban-rules", "behavior": "replace", "files": ["crowd_road_pressure.yaml"]}
    component = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
    (mine / "kustomization.yaml").write_text(yaml.safe_dump({**component, "configMapGenerator": [generator]}))
    objects = _overlay(tmp_path, ["components/rules", "mine"], {})
    found = named(objects, "ConfigMap", "urban-rules")["data"]
    assert [file.rule.name for file in read_rules(found)] == ["crowd_road_pressure"]


OUTSIDE = {"to-webhooks": "responder", "to-neighbours": "exchange"}


def _egress(objects: tuple[Object, ...], name: str) -> Any:
    policy = named(objects, "NetworkPolicy", name)["spec"]
    assert policy["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "correlation",
        "app.kubernetes.io/component": OUTSIDE[name],
    }
    assert policy["policyTypes"] == ["Egress"]
    return policy["egress"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_nobody_calls_a_webhook_or_a_neighbour_until_it_is_said_where(tmp_path: Path, name: str):
    assert _egress(overlay("prod"), name) == []
    where = {
        "to": [{"ipBlock": {"cidr": "203.0.113.7/32"}}],
        "ports": [{"protocol": "TCP", "port": 443}],
    }
    change = {"op": "add", "path": "/spec/egress/-", "value": where}
    patch = {"target": {"kind": "NetworkPolicy", "name": name}, "patch": yaml.safe_dump([change])}
    objects = _overlay(tmp_path, ["components/network-policies"], {"patches": [patch]})
    assert _egress(objects, name) == [where]
    outside = [
        one["metadata"]["name"]
        for one in of_kind(objects, "NetworkPolicy")
        for rule in one["spec"].get("egress", ())
        for to in rule["to"]
        if "ipBlock" in to
    ]
    assert outside == [name]


def _overlay(folder: Path, components: list[str], more: dict[str, Any]) -> tuple[Object, ...]:
    """The base with components, changed as a city's own overlay would."""
    up = Path(*[".."] * (len(folder.resolve().parts) - 1), *K8S.resolve().parts[1:])
    told = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(up / "base")],
        "components": [name if (folder / name).is_dir() else str(up / name) for name in components],
        **more,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(told))
    made = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=100)
    assert made.returncode == 0, made.stderr
    return tuple(one for one in yaml.load_all(made.stdout, Loader=yaml.CSafeLoader) if one)
