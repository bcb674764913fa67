"""components/kafka-strimzi: one KafkaTopic per topic, one KafkaUser per role, which may do what the catalogue says.

Each role's pods come to Kafka with the certificate that the operator makes for its user.
"""

from __future__ import annotations

from typing import Any

from deploy.k8s.objects import PART_OF_LABEL, Object, resource
from deploy.k8s.roles import City, Role
from services.runtime.catalogue import Topic, consumer_group
from services.runtime.certificates import AUTHORITY, CERTIFICATE, KEY

API_VERSION = "kafka.strimzi.io/v1"
CLUSTER = "urban"
REPLICAS = 3
LABELS = {"strimzi.io/cluster": CLUSTER, **PART_OF_LABEL}
# By TLS, with a certificate: there is no other listener.
PORT = 9093
# Where pods find the files that URBAN_KAFKA_TLS names.
CERTIFICATES = "/etc/urban/kafka"
# Reads how far groups are behind, and no record.
SCALER = "keda"


def topics(city: City) -> list[Object]:
    return [_topic(topic) for topic in city.topics]


def users(city: City) -> list[Object]:
    return [*(_user(role.name, _acls(city, role)) for role in city.roles), _user(SCALER, _scaler_acls(city))]


def certificates(city: City) -> list[Object]:
    """Patches: each role's pods get the certificate of its user, and that of the authority that signed the brokers'."""
    return [_with_certificate(role) for role in city.roles]


def _with_certificate(role: Role) -> Object:
    mine = {"name": role.name, "items": [_item("user.crt", CERTIFICATE), _item("user.key", KEY)]}
    theirs = {"name": f"{CLUSTER}-cluster-ca-cert", "items": [_item(AUTHORITY, AUTHORITY)]}
    # The files are read by the pod's own user alone, and its group.
    projected = {"defaultMode": 0o440, "sources": [{"secret": mine}, {"secret": theirs}]}
    container = {
        "name": role.role,
        "env": [{"name": "URBAN_KAFKA_TLS", "value": CERTIFICATES}],
        "volumeMounts": [{"name": "kafka-certificates", "mountPath": CERTIFICATES, "readOnly": True}],
    }
    spec = {"containers": [container], "volumes": [{"name": "kafka-certificates", "projected": projected}]}
    kind = "StatefulSet" if role.profile.lasting else "Deployment"
    return resource("apps/v1", kind, role.name, {"spec": {"template": {"spec": spec}}})


def _item(key: str, path: str) -> dict[str, str]:
    return {"key": key, "path": path}


def _topic(topic: Topic) -> Object:
    """Its name may hold what a name in Kubernetes may not."""
    spec = {"topicName": topic.name, "partitions": topic.partitions, "replicas": REPLICAS, "config": topic.configs}
    return resource(API_VERSION, "KafkaTopic", topic.name.replace("_", "-"), {"spec": spec}, LABELS)


def _user(name: str, acls: list[dict[str, Any]]) -> Object:
    spec = {"authentication": {"type": "tls"}, "authorization": {"type": "simple", "acls": acls}}
    return resource(API_VERSION, "KafkaUser", name, {"spec": spec}, LABELS)


def _scaler_acls(city: City) -> list[dict[str, Any]]:
    shared = {role: city.shared_out(role) for role in city.roles}
    topics = {topic.name for of_role in shared.values() for topic in of_role}
    groups = {consumer_group(role.service, role.role) for role, of_role in shared.items() if of_role}
    return [
        *(_acl("topic", name, ["Describe"]) for name in sorted(topics)),
        *(_acl("group", name, ["Describe"]) for name in sorted(groups)),
    ]


def _acls(city: City, role: Role) -> list[dict[str, Any]]:
    """Literal names only. A process looks at start whether its service's topics are there, hence Describe of all."""
    allowed: dict[str, set[str]] = {topic.name: {"Describe"} for topic in city.topics if _looked_at(topic, role)}
    for topic in city.read(role):
        allowed.setdefault(topic.name, {"Describe"}).add("Read")
    for topic in city.written(role):
        # A record that is refused for its size is explained by the topic's setting.
        allowed.setdefault(topic.name, {"Describe"}).update(("Write", "DescribeConfigs"))
    acls = [_acl("topic", name, sorted(operations)) for name, operations in allowed.items()]
    if city.shared_out(role):
        acls.append(_acl("group", consumer_group(role.service, role.role), ["Describe", "Read"]))
    return acls


def _looked_at(topic: Topic, role: Role) -> bool:
    """A service makes its own topics where they are missing, and those that all share."""
    services = {key.partition(":")[0] for key in (*topic.writers, *topic.readers)}
    return role.service in services or len(services) > 1 or services == {"correlation"}


def _acl(resource_type: str, name: str, operations: list[str]) -> dict[str, Any]:
    return {
        "resource": {"type": resource_type, "name": name, "patternType": "literal"},
        "operations": operations,
    }
