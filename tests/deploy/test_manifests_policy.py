"""Pods are locked down, are found by what looks for them, and end as gracefully as the services do."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deploy.k8s.clickhouse import visitors
from deploy.k8s.roles import City
from services.cli.domains import find_domains
from services.runtime.service import STOP_TIMEOUT_S
from tests.deploy.rendering import (
    OVERLAYS,
    WORKLOADS,
    Object,
    containers,
    everything,
    label,
    named,
    of_kind,
    overlay,
)
from tests.deploy.restricted import faults, loose_ends

CITY = City(find_domains())
WORKS = [one for name in OVERLAYS for one in of_kind(overlay(name), *WORKLOADS)]


def _ours(one: Object) -> bool:
    return bool(one["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "urban-brain")


@pytest.mark.parametrize("work", WORKS, ids=label)
def test_pods_are_restricted_and_bounded(work):
    assert faults(work) == []
    assert loose_ends(work) == []
    read_only = {one["securityContext"].get("readOnlyRootFilesystem") for one in containers(work)}
    assert read_only == {True} or not _ours(work)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda pod: pod["securityContext"].update(runAsNonRoot=False), "root"),
        (lambda pod: pod["securityContext"].pop("seccompProfile"), "seccomp"),
        (lambda pod: pod["containers"][0]["securityContext"].pop("capabilities"), "capabilities"),
        (lambda pod: pod["containers"][0]["securityContext"].update(privileged=True), "privileged"),
        (lambda pod: pod.update(hostNetwork=True), "hostNetwork"),
        (lambda pod: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}), "volume x"),
    ],
)
def test_a_pod_that_is_not_restricted_is_found(change, fault):
    work = copy.deepcopy(named(overlay("dev"), "StatefulSet", "traffic-processor"))
    change(work["spec"]["template"]["spec"])
    assert any(fault in found for found in faults(work))


@pytest.mark.parametrize("name", OVERLAYS)
def test_services_budgets_and_spread_find_the_pods_that_they_are_for(name):
    objects = overlay(name)
    works = [one for one in of_kind(objects, "Deployment", "StatefulSet") if _ours(one)]
    for work in works:
        its = work["spec"]["template"]["metadata"]["labels"].items()
        own = work["metadata"]["name"]
        service = named(objects, "Service", own)["spec"]
        budget = named(objects, "PodDisruptionBudget", own)["spec"]
        pod = work["spec"]["template"]["spec"]
        selectors = [
            service["selector"],
            work["spec"]["selector"]["matchLabels"],
            budget["selector"]["matchLabels"],
            *(one["labelSelector"]["matchLabels"] for one in pod["topologySpreadConstraints"]),
        ]
        for selector in selectors:
            found = [o["metadata"]["name"] for o in works if selector.items() <= _labels(o)]
            assert (found, selector.items() <= its) == ([own], True)
        ports = {port["name"] for port in pod["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["ports"]} <= ports
        assert named(objects, "ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"] is False
        if work["kind"] == "StatefulSet":
            assert work["spec"]["serviceName"] == own
            assert service["clusterIP"] == "None"


def _labels(work: Object) -> Any:
    return work["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("work", [one for one in WORKS if one["kind"] != "Job" and _ours(one)], ids=label)
def test_a_pod_is_left_the_time_that_a_service_takes_to_end(work):
    pod = work["spec"]["template"]["spec"]
    before = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pod["terminationGracePeriodSeconds"] > STOP_TIMEOUT_S + before
    (probed,) = {pod["containers"][0][p]["grpc"]["port"] for p in ("startupProbe", "livenessProbe", "readinessProbe")}
    # Where callers need a certificate, probes, which have none, have a port of their own.
    own = [v["value"] for v in pod["containers"][0]["env"] if v["name"] == "URBAN_PROBE_PORT"]
    assert probed == int(*own or ["50051"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_pods_refer_to_is_there_or_is_told_to_be_made_by_somebody(name):
    objects = overlay(name)
    maps = {one["metadata"]["name"] for one in of_kind(objects, "ConfigMap")}
    secrets = {one["metadata"]["name"] for one in of_kind(objects, "Secret")}
    # `python -m deploy.k8s secrets` makes those of ClickHouse's users, cert-manager and Strimzi those of certificates.
    told_in_readme = {user.secret for user in visitors(CITY)} if name == "prod" else set()
    made = {one["spec"]["secretName"] for one in of_kind(objects, "Certificate")}
    made |= {one["metadata"]["name"] for one in of_kind(objects, "KafkaUser")}
    made |= {f"{one['metadata']['name']}-cluster-ca-cert" for one in of_kind(objects, "Kafka")}
    for work in of_kind(objects, *WORKLOADS):
        for container in containers(work):
            assert {source["configMapRef"]["name"] for source in container.get("envFrom", ())} <= maps
            keys = [variable.get("valueFrom", {}).get("secretKeyRef") for variable in container.get("env", ())]
            assert {key["name"] for key in keys if key} <= secrets | told_in_readme
        for volume in work["spec"]["template"]["spec"].get("volumes", ()):
            assert {volume["configMap"]["name"]} <= maps if "configMap" in volume else True
            sources = volume.get("projected", {}).get("sources", [volume])
            mounted = {one["secret"].get("secretName") or one["secret"]["name"] for one in sources if "secret" in one}
            assert mounted <= made


def test_no_password_stands_in_a_manifest_but_that_of_the_machine_of_ones_own():
    values = [
        (label(one), variable["name"])
        for one in everything()
        if one["kind"] in WORKLOADS
        for container in containers(one)
        for variable in container.get("env", ())
        if "PASSWORD" in variable["name"] and "value" in variable
    ]
    assert values == []
    assert of_kind(overlay("prod"), "Secret") == []


def test_each_version_of_the_image_migrates_by_a_job_of_its_own():
    for name, tag in (("dev", "dev"), ("prod", "0.1.0")):
        (job,) = of_kind(overlay(name), "Job")
        assert job["metadata"]["name"] == f"migrate-{tag}"
        assert containers(job)[0]["image"].endswith(f"urban-brain:{tag}")


def test_who_scales_by_load_has_no_fixed_number_of_replicas():
    objects = overlay("prod")
    targets = [one["spec"]["scaleTargetRef"] for one in of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")]
    assert len(targets) == len({(t["kind"], t["name"]) for t in targets}) > 10
    for target in targets:
        assert "replicas" not in named(objects, target["kind"], target["name"])["spec"]
