"""One real node in a box: containerd, kubelet, proxy and CoreDNS, so that pods run, are probed, and find each other."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.cluster import keys
from tests.cluster.box import Box
from tests.cluster.control_plane import ControlPlane, flags
from tests.cluster.simulated import ready_nodes, storage_class, volume
from tests.deploy.rendering import Object
from tests.images.engine import Engine
from tests.images.machine import CannotRunError

NAME = "one"
ADDRESS = "10.88.0.1"
PODS = "10.88.0.0/16"
DOMAIN = "cluster.local"
SOCKET = "/run/containerd/containerd.sock"
PAUSE = "localhost/pause:test"
VOLUMES = 2
CGROUPS = Path("/sys/fs/cgroup")
OF_PODS = "kubepods"
BURIED_TIMEOUT_S = 60.0
# Settings of the kernel that a kubelet changes for the whole machine.
TUNABLES = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
)

# A machine without CAP_SYS_RESOURCE may not lower the score that says who is killed first.
CONTAINERD = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
"""
COREFILE = """\
cluster.local {{
    errors
    kubernetes cluster.local {{
        kubeconfig {config}
    }}
}}
"""


@contextmanager
def one_node(kube: Path, dns: Path, images: Engine, names: list[str]) -> Iterator[ControlPlane]:
    """A cluster of one node that has these images of `images`; the machine is as it was afterwards.

    CannotRunError where this machine is a node already.
    """
    if pod_cgroups():
        raise CannotRunError("this machine runs pods already: it is a node of some cluster")
    kernel = {name: Path("/proc/sys", name).read_text() for name in TUNABLES}
    try:
        with Box("node") as box:
            plane = ControlPlane(box, kube)
            plane.start()
            Node(plane, dns).join(images, names)
            yield plane
    finally:
        for name, value in kernel.items():
            Path("/proc/sys", name).write_text(value)
        for top in pod_cgroups():
            for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                _remove(group)
            _remove(top)


class Node:
    """The node of a control plane's box, with which it ends."""

    def __init__(self, plane: ControlPlane, dns: Path) -> None:
        self._plane = plane
        self._dns = dns
        self._box = plane.box
        self._folder = plane.box.folder

    def join(self, images: Engine, names: list[str]) -> None:
        """Start the node with these images of `images`, and wait until the control plane says it is ready."""
        self._make_network()
        self._start_containerd(images, names)
        self._start_kubelet()
        self._start_proxy()
        corefile = self._folder / "Corefile"
        corefile.write_text(COREFILE.format(config=self._plane.kubeconfig))
        self._box.start("dns", str(self._dns), "-conf", str(corefile))
        self._plane.apply([storage_class(), *(self._volume(number) for number in range(VOLUMES))])
        self._plane.wait("the node", lambda: ready_nodes(self._plane) == [NAME])

    def _make_network(self) -> None:
        """The bridge that pods are plugged into, and by which the node has an address that is not loopback's."""
        for command in (
            ("link", "add", "pods", "type", "bridge"),
            ("address", "add", f"{ADDRESS}/16", "dev", "pods"),
            ("link", "set", "pods", "up"),
            # So that the addresses of services, which no device has, have a way to where they are translated.
            ("route", "add", "default", "dev", "pods"),
        ):
            self._inside("ip", *command)
        bridge = {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }
        plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
        network = self._folder / "cni" / "pods.conflist"
        network.parent.mkdir(parents=True)
        network.write_text(json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}))

    def _start_containerd(self, images: Engine, names: list[str]) -> None:
        config = self._folder / "containerd.toml"
        config.write_text(CONTAINERD.format(folder=self._folder, socket=SOCKET, pause=PAUSE))
        self._box.start("containerd", "containerd", "--config", str(config))
        ctr = ("ctr", "--address", SOCKET, "--namespace", "k8s.io")
        self._plane.wait("containerd", lambda: self._box.run(*ctr, "version", inside=True).returncode == 0, 60.0)
        images.save_into([PAUSE, *names], self._box.entering(*ctr, "images", "import", "-", inside=True))

    def _start_kubelet(self) -> None:
        keys.sign(self._plane.pki, "node", f"/O=system:nodes/CN=system:node:{NAME}")
        own = self._folder / "node.kubeconfig"
        own.write_text(self._plane.kubeconfig.read_text().replace("/admin.", "/node."))
        config = self._folder / "kubelet.yaml"
        config.write_text(yaml.safe_dump(self._kubelet()))
        told = {"config": config, "kubeconfig": own, "hostname-override": NAME, "node-ip": ADDRESS}
        self._box.start("kubelet", str(self._plane.kube), "kubelet", *flags(told))

    def _start_proxy(self) -> None:
        told = {
            "kubeconfig": self._plane.kubeconfig,
            "proxy-mode": "iptables",
            "hostname-override": NAME,
            "bind-address": ADDRESS,
            # Pods that share a bridge would answer each other past it, under addresses that nobody asked.
            "masquerade-all": "true",
            # Limits of the whole machine, which a box may not set.
            "conntrack-max-per-core": "0",
            "conntrack-tcp-timeout-established": "0s",
            "conntrack-tcp-timeout-close-wait": "0s",
        }
        self._box.start("proxy", str(self._plane.kube), "proxy", *flags(told))

    def _kubelet(self) -> Object:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": ADDRESS,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(self._plane.pki / "ca.crt")},
            },
            # Whoever has a certificate of this cluster, which only the API server calls with.
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "clusterDNS": [ADDRESS],
            "clusterDomain": DOMAIN,
            "resolvConf": "",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "enforceNodeAllocatable": [],
            "localStorageCapacityIsolation": False,
            # The machine's disk is not this node's to judge; images are there before and are not to be removed.
            "evictionHard": {"memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100,
        }

    def _volume(self, number: int) -> Object:
        """A folder of the box that anybody may write to, as hostPath knows no owner."""
        made = volume(number)
        made["spec"]["hostPath"]["path"] = folder = f"/var/lib/volumes/{number}"
        self._inside("install", "--directory", "--mode=0777", folder)
        return made

    def _inside(self, *command: str) -> None:
        done = self._box.run(*command, inside=True, timeout_s=900.0)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def pod_cgroups() -> list[Path]:
    """Where pods of a kubelet are counted and limited on this machine; none where no kubelet has run."""
    return sorted({*CGROUPS.glob(OF_PODS), *CGROUPS.glob(f"*/{OF_PODS}")})


def _remove(group: Path) -> None:
    """Remove a control group whose last processes the kernel may not have buried yet."""
    until = time.monotonic() + BURIED_TIMEOUT_S
    while True:
        try:
            return group.rmdir()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
