"""The real API server judges every overlay and component by a dry run, and refuses what is wrong with them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.box import Box
from tests.cluster.control_plane import ControlPlane
from tests.cluster.simulated import condition
from tests.deploy import definitions
from tests.deploy.rendering import (
    COMPONENTS,
    K8S,
    NEEDS,
    OVERLAYS,
    Object,
    combination,
    named,
    of_kind,
    overlay,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DRY_RUN = "--dry-run=server"
# Who brings no object of somebody else's definition can be judged everywhere.
OWN_COMPONENTS = ("hpa", "network-policies")
POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)


@pytest.fixture(scope="module")
def plane(kube: Path) -> Iterator[ControlPlane]:
    """A control plane with the namespace of the city, as nothing can be judged without it; no node."""
    with Box("judged") as box:
        started = ControlPlane(box, kube)
        print(f"control plane ready after {started.start():.1f} s")
        started.apply(of_kind(overlay("dev"), "Namespace"))
        yield started


@pytest.fixture(scope="module")
def judge(plane: ControlPlane) -> ControlPlane:
    """The same with the definitions of the operators' objects; skipped, loudly, where those are not at hand."""
    folder = definitions.folder()
    if folder is None:
        pytest.skip("NOT TESTED: custom resources, as $URBAN_REAL_DATA/crds with their definitions is not there")
    plane.kubectl("apply", "--server-side", "--filename", str(folder))
    known = definitions.validators(folder)
    for version, kind in definitions.NOT_EVERYWHERE:
        if (version, kind) not in known:
            print(f"NOT TESTED: {kind}, as its definition is not in $URBAN_REAL_DATA/crds: anything is taken")
            plane.apply([definitions.stand_in(version, kind)])
    plane.wait("definitions", lambda: not _not_established(plane))
    return plane


def _not_established(plane: ControlPlane) -> list[str]:
    found = plane.get("customresourcedefinitions")
    return [one["metadata"]["name"] for one in found if condition(one, "Established") != "True"] or [
        "none" for _ in range(not found)
    ]


def _with_its_own(name: str) -> tuple[str, ...]:
    return tuple(sorted((*NEEDS.get(name, ()), name)))


def test_the_overlay_for_one_node_is_taken_as_the_guide_applies_it(plane):
    said = plane.kubectl("apply", "--server-side", DRY_RUN, "--kustomize", str(K8S / "overlays" / "dev"))
    assert said.stdout.count("serverside-applied") == len(overlay("dev"))
    assert "Warning" not in said.stderr


def test_the_overlay_for_a_city_is_taken_as_the_guide_applies_it(judge):
    said = judge.kubectl("apply", "--server-side", DRY_RUN, "--kustomize", str(K8S / "overlays" / "prod"))
    assert said.stdout.count("serverside-applied") == len(overlay("prod"))
    # The Job is named after its version, 0.1.0, and so are its pods; nobody asks for them by name.
    (warning,) = [line for line in said.stderr.splitlines() if line.startswith("Warning")]
    assert "a DNS label is recommended: [must not contain dots]" in warning


@pytest.mark.parametrize("name", OWN_COMPONENTS)
def test_a_component_of_kubernetes_own_objects_is_taken(plane, name):
    plane.apply(combination(_with_its_own(name)), DRY_RUN)


@pytest.mark.parametrize("name", [name for name in COMPONENTS if name not in OWN_COMPONENTS])
def test_a_component_of_custom_resources_is_taken(judge, name):
    plane_said = judge.apply(combination(_with_its_own(name)), DRY_RUN)
    assert "Warning" not in plane_said.stderr


def test_an_operator_that_is_not_there_is_told_by_name(plane):
    """Before the definitions are there, prod is refused with the kind that is missing, not taken in part."""
    wrong = {"apiVersion": "nowhere.example/v1", "kind": "KafkaTopics", "metadata": {"name": "x"}}
    assert 'no matches for kind "KafkaTopics"' in plane.apply([wrong], DRY_RUN, check=False).stderr


WRONG: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    ("Deployment", (*CONTAINER, "reources"), {}, "field not declared in schema"),
    ("Deployment", (*CONTAINER, "ports", 0, "containerPort"), 99999, "must be between 1 and 65535"),
    ("Deployment", ("spec", "selector", "matchLabels"), {"other": "one"}, "does not match template `labels`"),
    ("Deployment", (*CONTAINER, "volumeMounts", 0, "name"), "nowhere", "volumeMounts[0].name: Not found"),
    ("Deployment", (*CONTAINER, "resources", "limits", "memory"), "1Mi", "must be less than or equal to memory limit"),
    ("Deployment", (*CONTAINER, "readinessProbe", "grpc"), None, "must specify a handler type"),
    ("StatefulSet", (*POD, "restartPolicy"), "Never", "Unsupported value"),
    ("Service", ("metadata", "name"), "Not_A_Name", "a lowercase RFC 1123 label must consist of"),
    ("Service", ("spec", "clusterIP"), "192.0.2.1", "is not in the valid range"),
    ("Job", (*POD, "restartPolicy"), "Always", 'valid values: "OnFailure", "Never"'),
    ("PodDisruptionBudget", ("spec", "minAvailable"), 1, "minAvailable and maxUnavailable cannot be both set"),
]
WRONG_CUSTOM: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    ("KafkaTopic", ("spec", "partitions"), 0, "greater than or equal to 1"),
    ("KafkaTopic", ("spec", "partition"), 4, "field not declared in schema"),
    ("KafkaUser", ("spec", "authorization", "acls", 0, "operations"), ["Reed"], "Unsupported value"),
    ("KafkaNodePool", ("spec", "roles"), ["boss"], "Unsupported value"),
    ("ScaledObject", ("spec", "triggers", 0, "metadata", "lagThreshold"), 100, "lagThreshold"),
    ("ScaledObject", ("spec", "scaleTargetRef"), None, "spec.scaleTargetRef: Required value"),
    ("GRPCRoute", ("spec", "rules", 0, "backendRefs", 0, "port"), 0, "greater than or equal to 1"),
    # The rules of a definition in CEL, which no schema of its own holds: a server alone judges them.
    ("GRPCRoute", ("spec", "rules", 0, "matches"), [{"method": {"type": "Exact"}}], "must be specified"),
    ("Gateway", ("spec", "listeners", 0, "port"), 70000, "less than or equal to 65535"),
    ("PodMonitor", ("spec", "podMetricsEndpoint"), [], "field not declared in schema"),
    ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "for"), "soon", "should match"),
    ("ClickHouseInstallation", ("spec", "configuration", "cluster"), [], "field not declared in schema"),
    ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), 0, "must be greater than or equal to `minReplicas`"),
    ("NetworkPolicy", ("spec", "policyTypes"), ["Sideways"], "Unsupported value"),
]


@pytest.mark.parametrize(("kind", "path", "value", "told"), WRONG)
def test_what_is_wrong_is_refused(plane, kind, path, value, told):
    _is_refused(plane, "dev", kind, path, value, told)


@pytest.mark.parametrize(("kind", "path", "value", "told"), WRONG_CUSTOM)
def test_what_is_wrong_with_an_object_of_prod_is_refused(judge, kind, path, value, told):
    _is_refused(judge, "prod", kind, path, value, told)


def test_a_version_that_is_gone_is_refused(plane):
    old = copy.deepcopy(of_kind(overlay("prod"), "HorizontalPodAutoscaler")[0])
    old["apiVersion"] = "autoscaling/v2beta2"
    assert "no matches for kind" in plane.apply([old], DRY_RUN, check=False).stderr


def test_a_pod_that_is_not_restricted_is_refused_with_every_reason(plane):
    work = named(overlay("dev"), "Deployment", "traffic-api")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "urban"}, "spec": work["spec"]}
    plane.apply([_without_account(pod)], DRY_RUN)
    wrong = _without_account(pod)
    wrong["spec"]["securityContext"] = {"runAsUser": 0}
    for one in (*wrong["spec"]["initContainers"], *wrong["spec"]["containers"]):
        one["securityContext"] = {}
    refused = plane.apply([wrong], DRY_RUN, check=False)
    assert refused.returncode != 0
    reasons = ("allowPrivilegeEscalation", "unrestricted capabilities", "runAsNonRoot", "runAsUser=0", "seccompProfile")
    assert [reason for reason in reasons if reason not in refused.stderr] == []


def test_every_overlay_is_judged():
    assert OVERLAYS == ("dev", "prod"), "a new overlay needs a test here"


def _without_account(pod: Object) -> Object:
    """A pod by itself, whose account need not be there for it to be judged."""
    made = copy.deepcopy(pod)
    made["spec"].pop("serviceAccountName")
    return made


def _is_refused(plane: ControlPlane, name: str, kind: str, path: tuple[str | int, ...], value: Any, told: str) -> None:
    right = of_kind(overlay(name), kind)[0]
    # Its namespace apart from all it needs is there, so it is taken as long as it is right.
    plane.apply([right], DRY_RUN)
    wrong = copy.deepcopy(right)
    *way, last = path
    at: Any = wrong
    for step in way:
        at = at[step]
    if value is None:
        at.pop(last)
    else:
        at[last] = value
    refused = plane.apply([wrong], DRY_RUN, check=False)
    assert refused.returncode != 0
    assert told in refused.stderr, refused.stderr
