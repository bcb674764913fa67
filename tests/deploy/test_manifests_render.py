"""Every overlay, and the base with its components, renders to objects that Kubernetes takes."""

from __future__ import annotations

import copy
from typing import Any

import kubernetes_validate
import pytest
from jsonschema import Draft202012Validator

from deploy.k8s.files import files, stale
from tests.deploy import definitions
from tests.deploy.rendering import (
    COMPONENTS,
    OVERLAYS,
    Object,
    combination,
    combinations,
    everything,
    label,
    named,
    of_kind,
    overlay,
)

KUBERNETES = "1.37"
# API groups of Kubernetes itself, without which an object is one of somebody else's definition.
OWN_GROUPS = ("", "apps", "batch", "autoscaling", "policy", "networking.k8s.io")


def _is_own(one: Object) -> bool:
    return one["apiVersion"].rpartition("/")[0] in OWN_GROUPS


def test_what_is_generated_is_what_the_catalogue_says():
    assert stale(files()) == [], "run `make manifests` and commit what it makes"


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_renders_into_its_namespace(name):
    objects = overlay(name)
    assert len(of_kind(objects, "Deployment", "StatefulSet")) >= 14
    assert {one["metadata"].get("namespace", "urban") for one in objects} == {"urban"}
    names = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("names", combinations(), ids=lambda names: "+".join(names) or "base")
def test_every_combination_of_components_renders(names):
    assert len(combination(names)) >= len(combination(()))


def test_the_whole_of_the_components_is_in_prod():
    for name in COMPONENTS:
        alone = combination(("gateway", "tls") if name == "tls" else (name,))
        added = {label(one) for one in alone} - {label(one) for one in combination(())}
        told = {label(one) for one in overlay("prod")}
        assert {one for one in added if not one.startswith("ConfigMap")} <= told, name


def test_objects_of_kubernetes_are_valid():
    own = [one for one in everything() if _is_own(one)]
    assert len(own) > 100
    for one in own:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "template", "spec", "containers", 0, "reources"), {}),
        (("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"), "grpc"),
        (("spec", "replicas"), "two"),
    ],
)
def test_an_object_that_is_not_valid_is_refused(path, value):
    wrong = copy.deepcopy(named(overlay("dev"), "Deployment", "traffic-api"))
    _set(wrong, path, value)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_custom_resources_are_valid_by_their_own_definitions():
    judges = _judges()
    custom = [one for one in everything() if not _is_own(one)]
    assert {one["kind"] for one in custom} >= {"KafkaTopic", "KafkaUser", "ScaledObject", "PodMonitor", "GRPCRoute"}
    assert {_key(one) for one in custom} - set(judges) <= set(definitions.NOT_EVERYWHERE)
    for one in custom:
        if _key(one) in judges:
            assert _errors(judges, one) == []


@pytest.mark.parametrize("key", definitions.NOT_EVERYWHERE, ids=lambda key: key[1])
def test_objects_whose_definition_is_not_everywhere_are_valid_where_it_is(key):
    judges = _judges()
    if key not in judges:
        pytest.skip(f"NOT TESTED: {key[1]}, as its definition is not in $URBAN_REAL_DATA/crds")
    found = [one for one in everything() if _key(one) == key]
    assert found
    for one in found:
        assert _errors(judges, one) == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("KafkaTopic", ("spec", "partitions"), 0),
        ("KafkaTopic", ("spec", "partition"), 4),
        ("KafkaUser", ("spec", "authorization", "acls", 0, "operations"), ["Reed"]),
        ("ScaledObject", ("spec", "triggers", 0, "metadata", "lagThreshold"), 100),
        ("GRPCRoute", ("spec", "rules", 0, "backendRefs", 0, "port"), 0),
        ("PodMonitor", ("spec", "podMetricsEndpoint"), []),
        ("ClickHouseInstallation", ("spec", "configuration", "cluster"), []),
    ],
)
def test_a_custom_resource_that_is_not_valid_is_refused(kind, path, value):
    wrong = copy.deepcopy(of_kind(overlay("prod"), kind)[0])
    _set(wrong, path, value)
    assert list(_judges()[_key(wrong)].iter_errors(wrong))


def _judges() -> dict[tuple[str, str], Draft202012Validator]:
    found = definitions.folder()
    if found is None:
        pytest.skip("NOT TESTED: custom resources, as $URBAN_REAL_DATA/crds with their definitions is not there")
    return definitions.validators(found)


def _errors(judges: dict[tuple[str, str], Draft202012Validator], one: Object) -> list[str]:
    return [f"{label(one)}: {error.json_path}: {error.message}" for error in judges[_key(one)].iter_errors(one)]


def _key(one: Object) -> tuple[str, str]:
    return one["apiVersion"], one["kind"]


def _set(one: Any, path: tuple[str | int, ...], value: object) -> None:
    *way, last = path
    for step in way:
        one = one[step]
    one[last] = value
