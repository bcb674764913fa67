"""components/kafka-strimzi: one KafkaTopic per topic, one KafkaUser per role, which may do what the catalogue says."""

from __future__ import annotations

from typing import Any

from deploy.k8s.objects import PART_OF_LABEL, Object, resource
from deploy.k8s.roles import City, Role
from services.runtime.catalogue import Topic, consumer_group

API_VERSION = "kafka.strimzi.io/v1"
CLUSTER = "urban"
REPLICAS = 3
LABELS = {"strimzi.io/cluster": CLUSTER, **PART_OF_LABEL}


def topics(city: City) -> list[Object]:
    return [_topic(topic) for topic in city.topics]


def users(city: City) -> list[Object]:
    return [_user(city, role) for role in city.roles]


def _topic(topic: Topic) -> Object:
    """Its name may hold what a name in Kubernetes may not."""
    spec = {"topicName": topic.name, "partitions": topic.partitions, "replicas": REPLICAS, "config": topic.configs}
    return resource(API_VERSION, "KafkaTopic", topic.name.replace("_", "-"), {"spec": spec}, LABELS)


def _user(city: City, role: Role) -> Object:
    spec = {"authentication": {"type": "tls"}, "authorization": {"type": "simple", "acls": _acls(city, role)}}
    return resource(API_VERSION, "KafkaUser", role.name, {"spec": spec}, LABELS)


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
