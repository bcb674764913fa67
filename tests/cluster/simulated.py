"""Nodes that only say that they run pods (kwok): for what the control plane decides, with no container anywhere."""

from __future__ import annotations

from tests.cluster.control_plane import ControlPlane, flags
from tests.cluster.machine import stages_of
from tests.deploy.rendering import Object, label

NODES = 3
VOLUMES = 12
CLASS = "standard"
KWOK = "kwok.x-k8s.io/node"


def join(plane: ControlPlane) -> None:
    """Let simulated nodes in three zones join, with a default StorageClass and volumes to bind."""
    told = {
        "kubeconfig": plane.kubeconfig,
        "config": stages_of(plane.kube),
        "manage-all-nodes": "false",
        "manage-nodes-with-annotation-selector": f"{KWOK}=fake",
        "server-address": "127.0.0.1:10247",
    }
    plane.box.start("kwok", str(plane.kube), "kwok", *flags(told))
    plane.apply([*(node(number) for number in range(NODES)), storage_class(), *map(volume, range(VOLUMES))])
    plane.wait("simulated nodes", lambda: len(ready_nodes(plane)) == NODES)


def ready_nodes(plane: ControlPlane) -> list[str]:
    """Names of the nodes that say they are ready."""
    return [one["metadata"]["name"] for one in plane.get("nodes") if condition(one, "Ready") == "True"]


def condition(one: Object, name: str) -> str:
    """The status of a condition of an object; empty where it has none of that name."""
    told = one.get("status", {}).get("conditions") or []
    return next((str(found["status"]) for found in told if found["type"] == name), "")


def node(number: int) -> Object:
    """One of three nodes, each in a zone of its own."""
    name = f"fake-{number}"
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": f"zone-{number}",
    }
    size = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {KWOK: "fake"}, "labels": labels},
        "status": {"allocatable": size, "capacity": size},
    }


def storage_class() -> Object:
    """What a volume claim that names no class gets."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": default},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def volume(number: int) -> Object:
    """A volume that nobody writes to."""
    spec = {
        "capacity": {"storage": "1Ti"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": CLASS,
        "hostPath": {"path": f"/nowhere/{number}"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"volume-{number}"}, "spec": spec}


def rolled_out(plane: ControlPlane, namespace: str, timeout_s: float = 600.0) -> float:
    """Wait until every workload of a namespace runs what was last asked for; the seconds that it took."""
    return plane.wait(
        "rollout",
        lambda: not unfinished(plane, namespace),
        timeout_s,
        lambda: "\n".join([*unfinished(plane, namespace), *warnings(plane, namespace)]),
    )


def unfinished(plane: ControlPlane, namespace: str) -> list[str]:
    """Workloads that do not run, or not yet as they were last told."""
    works = plane.get("deployments,statefulsets,jobs", "-n", namespace)
    return [label(one) for one in works if not _is_finished(one)] if works else ["no workload"]


def _is_finished(one: Object) -> bool:
    status = one.get("status", {})
    if one["kind"] == "Job":
        return condition(one, "Complete") == "True"
    wanted = one["spec"]["replicas"]
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
    return status.get("observedGeneration") == one["metadata"]["generation"] and counts == [wanted] * 3


def warnings(plane: ControlPlane, namespace: str) -> list[str]:
    """What the cluster complains of in a namespace."""
    events = plane.get("events", "-n", namespace, "--field-selector=type=Warning")
    return [f"{one['reason']} {one['involvedObject'].get('name')}: {one.get('message', '')[:300]}" for one in events]
