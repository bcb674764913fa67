"""components/network-policies: who may call whom; what is not named here is refused (default-deny.yaml beside)."""

from __future__ import annotations

from typing import Any

from deploy.k8s.kafka import CLUSTER
from deploy.k8s.objects import PART_OF_LABEL, Object, resource
from deploy.k8s.roles import GRPC_PORT, METRICS_PORT, City, Role
from deploy.k8s.workloads import labels
from services.cli.domains import CORRELATION

# Namespaces that may come in are labelled so by whoever runs the cluster.
CLIENTS_LABEL = {"urban-brain/clients": "true"}
MONITORING_LABEL = {"urban-brain/monitoring": "true"}
# Pods of the servers: in the overlay dev, and as the operators label them.
KAFKA_PODS = ({"app.kubernetes.io/name": "kafka"}, {"strimzi.io/cluster": CLUSTER})
CLICKHOUSE_PODS = ({"app.kubernetes.io/name": "clickhouse"}, {"clickhouse.altinity.com/chi": "urban"})
# The roles that call somebody outside, and the policies that say whom.
RESPONDER, EXCHANGE = Role(CORRELATION, "responder"), Role(CORRELATION, "exchange")
WEBHOOKS, NEIGHBOURS = "to-webhooks", "to-neighbours"
KAFKA_PORTS, CLICKHOUSE_PORTS = (9092, 9093), (8123, 8443)
# OTLP over HTTP (components/tracing), as the collector's own default says.
COLLECTOR_PORT = 4318


def policies(city: City) -> list[Object]:
    return [
        _to_servers(),
        _outside(RESPONDER, WEBHOOKS),
        _outside(EXCHANGE, NEIGHBOURS),
        *(_of(role) for role in city.roles),
    ]


def _to_servers() -> Object:
    """Every pod of ours, the migration too, asks for names, log and memory, and may tell a collector; nothing else."""
    spec = {
        "podSelector": {"matchLabels": PART_OF_LABEL},
        "policyTypes": ["Egress"],
        "egress": [
            {
                "to": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                    }
                ],
                "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
            },
            {"to": [_pods(one) for one in KAFKA_PODS], "ports": _tcp(*KAFKA_PORTS)},
            {"to": [_pods(one) for one in CLICKHOUSE_PODS], "ports": _tcp(*CLICKHOUSE_PORTS)},
            {"to": [{"namespaceSelector": {"matchLabels": MONITORING_LABEL}}], "ports": _tcp(COLLECTOR_PORT)},
        ],
    }
    return resource("networking.k8s.io/v1", "NetworkPolicy", "to-servers", {"spec": spec})


def _outside(role: Role, name: str) -> Object:
    """Whom a role may call that is none of ours: nobody, until an overlay adds to `egress` where they are."""
    spec = {"podSelector": {"matchLabels": role.labels}, "policyTypes": ["Egress"], "egress": []}
    return resource("networking.k8s.io/v1", "NetworkPolicy", name, {"spec": spec}, labels(role))


def _of(role: Role) -> Object:
    ingress = [{"from": [{"namespaceSelector": {"matchLabels": MONITORING_LABEL}}], "ports": _tcp(METRICS_PORT)}]
    if role.profile.balanced:
        clients = [{"namespaceSelector": {"matchLabels": CLIENTS_LABEL}}, _pods({})]
        ingress.append({"from": clients, "ports": _tcp(GRPC_PORT)})
    spec = {"podSelector": {"matchLabels": role.labels}, "policyTypes": ["Ingress"], "ingress": ingress}
    return resource("networking.k8s.io/v1", "NetworkPolicy", role.name, {"spec": spec}, labels(role))


def _pods(match: dict[str, str]) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": match} if match else {}}


def _tcp(*ports: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]
