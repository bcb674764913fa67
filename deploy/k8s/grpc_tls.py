"""components/grpc-tls: every api speaks TLS, to those alone who have a certificate of the same authority.

Workers serve nothing but health, to their own node, and stay as they are.
"""

from __future__ import annotations

import json
from typing import Any

from deploy.k8s.objects import Object, resource
from deploy.k8s.roles import GRPC_PORT, City, Role
from deploy.k8s.routes import GATEWAY
from deploy.k8s.workloads import labels

CERTIFICATES = "/etc/urban/grpc"
# Probes have no certificate: health alone is told in the clear, and no policy lets other pods in here.
PROBE_PORT = 50052
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
GATEWAY_SECRET = "urban-gateway-client"


def callable_roles(city: City) -> list[Role]:
    """Roles that somebody calls."""
    return [role for role in city.roles if role.profile.balanced]


def secret_of(role: Role) -> str:
    """The Secret with a role's certificate."""
    return f"{role.name}-grpc-tls"


def host_of(service: str) -> str:
    """The full name of a Service in the cluster."""
    return f"{service}.urban.svc.cluster.local"


def patches(city: City) -> list[Object]:
    """What changes in the api's pods and Services."""
    roles = callable_roles(city)
    return [*(_pods(role) for role in roles), *(_service(role) for role in roles)]


def policies(city: City) -> list[Object]:
    """How the Gateway calls an api: by TLS, and it must be the one of this name."""
    return [_policy(role) for role in callable_roles(city)]


def gateway_patch() -> dict[str, Any]:
    """The certificate that the Gateway shows when it calls; nothing happens where there is no Gateway."""
    reference = {"group": "", "kind": "Secret", "name": GATEWAY_SECRET}
    value = {"backend": {"clientCertificateRef": reference}}
    return {"target": {"kind": "Gateway", "name": GATEWAY}, "patch": _added("/spec/tls", value)}


def _pods(role: Role) -> Object:
    container = {
        "name": role.role,
        "env": [
            {"name": "URBAN_GRPC_TLS", "value": CERTIFICATES},
            {"name": "URBAN_PROBE_PORT", "value": str(PROBE_PORT)},
        ],
        "ports": [{"name": "probes", "containerPort": PROBE_PORT}],
        **{probe: {"grpc": {"port": PROBE_PORT}} for probe in PROBES},
        # A folder, no single files: those would not change when the Secret does.
        "volumeMounts": [{"name": "grpc-certificates", "mountPath": CERTIFICATES, "readOnly": True}],
    }
    secret = {"secretName": secret_of(role), "defaultMode": 0o440}
    spec = {"containers": [container], "volumes": [{"name": "grpc-certificates", "secret": secret}]}
    kind = "StatefulSet" if role.profile.lasting else "Deployment"
    return resource("apps/v1", kind, role.name, {"spec": {"template": {"spec": spec}}})


def _service(role: Role) -> Object:
    """It no longer says that HTTP/2 is spoken in the clear."""
    ports = [{"name": "grpc", "port": GRPC_PORT, "appProtocol": None}]
    return resource("v1", "Service", role.name, {"spec": {"ports": ports}})


def _policy(role: Role) -> Object:
    # cert-manager makes Secrets and no ConfigMaps; Envoy Gateway and others read the authority from either.
    authority = {"group": "", "kind": "Secret", "name": secret_of(role)}
    spec = {
        "targetRefs": [{"group": "", "kind": "Service", "name": role.name, "sectionName": "grpc"}],
        "validation": {"hostname": host_of(role.name), "caCertificateRefs": [authority]},
    }
    return resource("gateway.networking.k8s.io/v1", "BackendTLSPolicy", role.name, {"spec": spec}, labels(role))


def _added(path: str, value: dict[str, Any]) -> str:
    return json.dumps([{"op": "add", "path": path, "value": value}])
