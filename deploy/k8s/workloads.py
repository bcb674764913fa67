"""base/services: what runs each role, its account, its Service, and how many of its pods may be away at once."""

from __future__ import annotations

from typing import Any

from deploy.k8s.objects import PART_OF_LABEL, Object, resource
from deploy.k8s.roles import GRPC_PORT, METRICS_PORT, Role
from services.runtime.grpc_server import LIVE
from services.runtime.service import STOP_TIMEOUT_S

IMAGE = "urban-brain"
# Endpoints are told of the end of a pod while it still takes calls; a caller that comes late must find it there.
LEAVE_SECONDS = 10
# What a service allows itself for its end, and a margin before it is killed.
GRACE_SECONDS = LEAVE_SECONDS + int(STOP_TIMEOUT_S) + 15
# It waits for Kafka and ClickHouse for a minute each before it gives up and is started again.
STARTUP_PERIOD_S, STARTUP_FAILURES = 2, 90

LOCKED_DOWN = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
UID = 10001  # of the image's user
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": UID,
    "runAsGroup": UID,
    "fsGroup": UID,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def workload(role: Role) -> list[Object]:
    """All objects of one role."""
    return [_account(role), _service(role), _pods(role), _budget(role)]


def labels(role: Role) -> dict[str, str]:
    return role.labels | PART_OF_LABEL


def _account(role: Role) -> Object:
    return resource("v1", "ServiceAccount", role.name, {"automountServiceAccountToken": False}, labels(role))


def _service(role: Role) -> Object:
    """Calls go to the api alone; the others get the headless one that a StatefulSet or a probe from inside asks for."""
    grpc = {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"}
    metrics = {"name": "metrics", "port": METRICS_PORT, "targetPort": "metrics"}
    spec: dict[str, Any] = {"selector": role.labels, "ports": [grpc] if role.profile.balanced else [metrics]}
    if not role.profile.balanced:
        spec = {"clusterIP": "None", **spec}
    return resource("v1", "Service", role.name, {"spec": spec}, labels(role))


def _pods(role: Role) -> Object:
    profile = role.profile
    spec: dict[str, Any] = {
        "replicas": profile.replicas,
        "selector": {"matchLabels": role.labels},
        "template": {"metadata": {"labels": labels(role)}, "spec": _pod(role)},
    }
    if profile.lasting:
        # All at once at the start and at a change of scale; one after the other in an update.
        spec |= {"serviceName": role.name, "podManagementPolicy": "Parallel"}
    elif profile.balanced:
        spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    kind = "StatefulSet" if profile.lasting else "Deployment"
    return resource("apps/v1", kind, role.name, {"spec": spec}, labels(role))


def _pod(role: Role) -> dict[str, Any]:
    spread = {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": role.labels}}
    return {
        "serviceAccountName": role.name,
        "automountServiceAccountToken": False,
        # A Service named kafka would put KAFKA_PORT and the like into every environment.
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", **spread},
            {"topologyKey": "kubernetes.io/hostname", **spread},
        ],
        "initContainers": [_wait_for_schema()],
        "containers": [_container(role)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }


def _wait_for_schema() -> dict[str, Any]:
    """A new version waits until its migrations are applied; the old one goes on meanwhile, as they only add."""
    return {
        "name": "wait-for-schema",
        "image": IMAGE,
        "command": ["python", "-m", "services.runtime.migrations", "wait"],
        **_environment(),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        **_closed(),
    }


def _container(role: Role) -> dict[str, Any]:
    profile = role.profile
    container: dict[str, Any] = {
        "name": role.role,
        "image": IMAGE,
        "command": role.command,
        **_environment(lasting=profile.lasting),
        "ports": [
            {"name": "grpc", "containerPort": GRPC_PORT},
            {"name": "metrics", "containerPort": METRICS_PORT},
        ],
        # Every role answers health over gRPC. Alive is who answers; ready is who has what it needs.
        "startupProbe": {
            "grpc": {"port": GRPC_PORT, "service": LIVE},
            "periodSeconds": STARTUP_PERIOD_S,
            "failureThreshold": STARTUP_FAILURES,
        },
        "livenessProbe": {
            "grpc": {"port": GRPC_PORT, "service": LIVE},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "readinessProbe": {"grpc": {"port": GRPC_PORT}, "periodSeconds": 5, "timeoutSeconds": 3},
        "resources": {
            "requests": {"cpu": profile.cpu_request, "memory": f"{profile.memory_request_mib}Mi"},
            "limits": {"memory": f"{profile.memory_limit_mib}Mi"},
        },
        **_closed(),
    }
    if profile.balanced:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": LEAVE_SECONDS}}}
    return container


def _environment(*, lasting: bool = False) -> dict[str, Any]:
    name = {"name": "URBAN_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    # The address holds the password, so it comes from a Secret; everything else is no secret.
    url = {
        "name": "URBAN_CLICKHOUSE",
        "valueFrom": {"secretKeyRef": {"name": "urban-clickhouse", "key": "url"}},
    }
    variables = [name, url, *([{"name": "URBAN_STATIC_MEMBER", "value": "true"}] if lasting else [])]
    return {"envFrom": [{"configMapRef": {"name": "urban-settings"}}], "env": variables}


def _closed() -> dict[str, Any]:
    return {"securityContext": LOCKED_DOWN, "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}


def _budget(role: Role) -> Object:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": role.labels}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    return resource("policy/v1", "PodDisruptionBudget", role.name, {"spec": spec}, labels(role))
