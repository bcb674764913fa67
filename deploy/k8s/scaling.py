"""components/keda and components/hpa: workers by lag, at most one for each partition; apis by processor time."""

from __future__ import annotations

from typing import Any

from deploy.k8s.kafka import CLUSTER, PORT, SCALER
from deploy.k8s.objects import Object, resource
from deploy.k8s.roles import API, City, Role
from deploy.k8s.workloads import labels
from services.runtime.catalogue import consumer_group

BOOTSTRAP = f"{CLUSTER}-kafka-bootstrap:{PORT}"
AUTHENTICATION = "kafka"
# Committed is what a checkpoint covers, so that some seconds of records are always "lag". A worker folds 10,000 frames
# of 256 a second and more (tests/benchmarks/README.md): ten seconds of that is behind, not busy.
LAG_OF_ONE = 100_000
# A change of members stops every partition for a moment, so one follows a trend and no wave.
UP_STABLE_S, DOWN_STABLE_S = 120, 1_800
FEWEST = 2
API_MOST, API_CPU_PERCENT = 10, 60


def scaled_objects(city: City) -> list[Object]:
    scaled = [_scaled(city, role) for role in city.roles if _most(city, role) > FEWEST]
    return [_authentication(), *scaled]


def autoscalers(city: City) -> list[Object]:
    return [_autoscaler(role) for role in city.roles if role.role == API]


def without_replicas(objects: list[Object], city: City) -> list[dict[str, Any]]:
    """Patches: who is scaled by load must not be set back by every apply."""
    targets = {one["metadata"]["name"] for one in objects}
    return [
        {
            "target": {"kind": "StatefulSet" if role.profile.lasting else "Deployment", "name": role.name},
            "patch": "- op: remove\n  path: /spec/replicas\n",
        }
        for role in city.roles
        if role.name in targets
    ]


def _authentication() -> Object:
    """KEDA comes to Kafka with the certificate of its own user."""
    references = [
        {"parameter": "ca", "name": f"{CLUSTER}-cluster-ca-cert", "key": "ca.crt"},
        {"parameter": "cert", "name": SCALER, "key": "user.crt"},
        {"parameter": "key", "name": SCALER, "key": "user.key"},
    ]
    return resource(
        "keda.sh/v1alpha1", "TriggerAuthentication", AUTHENTICATION, {"spec": {"secretTargetRef": references}}
    )


def _most(city: City, role: Role) -> int:
    """Members that have work: a member takes the same partitions of each topic."""
    return max((topic.partitions for topic in city.shared_out(role)), default=0)


def _scaled(city: City, role: Role) -> Object:
    group = consumer_group(role.service, role.role)
    kind = "StatefulSet" if role.profile.lasting else "Deployment"
    behavior = {
        "scaleUp": {"stabilizationWindowSeconds": UP_STABLE_S, "policies": [_one_pod(60)]},
        "scaleDown": {"stabilizationWindowSeconds": DOWN_STABLE_S, "policies": [_one_pod(600)]},
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": role.name},
        "minReplicaCount": FEWEST,
        "maxReplicaCount": _most(city, role),
        "pollingInterval": 30,
        "cooldownPeriod": DOWN_STABLE_S,
        "fallback": {"failureThreshold": 5, "replicas": FEWEST, "behavior": "currentReplicasIfHigher"},
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}},
        "triggers": [
            {
                "type": "kafka",
                "metadata": {
                    "bootstrapServers": BOOTSTRAP,
                    "consumerGroup": group,
                    "topic": topic.name,
                    "tls": "enable",
                    "lagThreshold": str(LAG_OF_ONE),
                    # The services begin at the first record; the scaler's own default would see no lag at all.
                    "offsetResetPolicy": "earliest",
                    # A partition that stands still, at a flood of bad records say, is not helped by more workers.
                    "excludePersistentLag": "true",
                },
                "authenticationRef": {"name": AUTHENTICATION},
            }
            for topic in city.shared_out(role)
        ],
    }
    return resource("keda.sh/v1alpha1", "ScaledObject", role.name, {"spec": spec}, labels(role))


def _autoscaler(role: Role) -> Object:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": API_CPU_PERCENT}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": role.name},
        "minReplicas": FEWEST,
        "maxReplicas": API_MOST,
        "metrics": [{"type": "Resource", "resource": cpu}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    return resource("autoscaling/v2", "HorizontalPodAutoscaler", role.name, {"spec": spec}, labels(role))


def _one_pod(period_s: int) -> dict[str, Any]:
    return {"type": "Pods", "value": 1, "periodSeconds": period_s}
