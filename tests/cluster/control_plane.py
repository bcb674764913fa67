"""A real control plane in a box: etcd, API server, controllers, scheduler, and what a test asks of them by kubectl."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml

from deploy.local.process import Child
from tests.cluster import keys
from tests.cluster.box import Box
from tests.deploy.rendering import KUBECTL, Object

SERVER = "https://127.0.0.1:6443"
ETCD = "http://127.0.0.1:2379"
SERVICES = "10.96.0.0/16"
# A busy machine was seen to need five minutes for what takes seven seconds alone.
READY_TIMEOUT_S = 600.0
KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{{name: box, cluster: {{server: "{server}", certificate-authority: {pki}/ca.crt}}}}]
users: [{{name: admin, user: {{client-certificate: {pki}/admin.crt, client-key: {pki}/admin.key}}}}]
contexts: [{{name: box, context: {{cluster: box, user: admin}}}}]
current-context: box
"""


class ControlPlane:
    """Started once for many tests; it ends with its box."""

    def __init__(self, box: Box, kube: Path) -> None:
        self.box = box
        self.kube = kube
        self.pki = box.folder / "pki"
        self.kubeconfig = box.folder / "kubeconfig"
        self.kubeconfig.write_text(KUBECONFIG.format(server=SERVER, pki=self.pki))

    def start(self) -> float:
        """Start everything; the seconds until the server is ready and namespaces have their accounts."""
        began = time.monotonic()
        keys.make(self.pki)
        self._etcd()
        self._api_server()
        self.wait("the API server", lambda: self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0)
        self._controllers_and_scheduler()
        self.wait("accounts", lambda: bool(self.get("serviceaccount", "-n", "default")))
        return time.monotonic() - began

    def kubectl(
        self, *arguments: str, typed: str | None = None, check: bool = True, timeout_s: float = 300.0
    ) -> CompletedProcess[str]:
        """Run kubectl as the administrator; AssertionError with its words where it fails and `check` holds."""
        done = self.box.run(*self.command(*arguments), typed=typed, timeout_s=timeout_s)
        if check and done.returncode:
            said = (done.stdout[-2000:] + done.stderr[-4000:]).strip()
            raise AssertionError("\n".join([f"kubectl {' '.join(arguments)}: {said}", *self.box.has_ended()]))
        return done

    def command(self, *arguments: str) -> list[str]:
        """How kubectl is called."""
        return [str(KUBECTL), "--kubeconfig", str(self.kubeconfig), *arguments]

    def get(self, kind: str, *arguments: str) -> list[Object]:
        """Objects of a kind; empty where there are none, or no such kind."""
        done = self.kubectl("get", kind, "--output=json", *arguments, check=False)
        if done.returncode:
            return []
        told = json.loads(done.stdout)
        found: list[Object] = told.get("items", [told]) if "items" in told or told.get("metadata") else []
        return found

    def apply(self, objects: Iterable[Object], *options: str, check: bool = True) -> CompletedProcess[str]:
        """Server-side apply of objects, with what no definition knows refused."""
        text = yaml.safe_dump_all(objects)
        told = ("apply", "--server-side", "--validate=strict", *options, "--filename=-")
        return self.kubectl(*told, typed=text, check=check)

    def wait(self, what: str, ready: Any, timeout_s: float = READY_TIMEOUT_S, told: Any = None) -> float:
        """Ask `ready()` until it is true; the seconds that it took. AssertionError after `timeout_s`, with `told()`."""
        began = time.monotonic()
        while not ready():
            gone = self.box.has_ended()
            if gone or time.monotonic() - began > timeout_s:
                more = [str(told())] if told else []
                raise AssertionError("\n".join([f"{what}: not within {timeout_s:.0f} s", *gone, *more]))
            time.sleep(0.5)
        return time.monotonic() - began

    def _etcd(self) -> Child:
        peer = ETCD.replace("2379", "2380")
        listening = ["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD, "--listen-peer-urls", peer]
        # What it keeps is thrown away in the end: nothing is gained by waiting for the disk.
        kept = ["--data-dir", str(self.box.folder / "etcd"), "--unsafe-no-fsync"]
        return self.box.start("etcd", str(self.kube), "etcd", *kept, *listening)

    def _api_server(self) -> Child:
        told = {
            "etcd-servers": ETCD,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": "6443",
            "tls-cert-file": self.pki / "server.crt",
            "tls-private-key-file": self.pki / "server.key",
            "client-ca-file": self.pki / "ca.crt",
            "service-account-key-file": self.pki / "tokens.pub",
            "service-account-signing-key-file": self.pki / "tokens.key",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-cluster-ip-range": SERVICES,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "endpoint-reconciler-type": "none",
            # For logs of a pod and commands in it.
            "kubelet-preferred-address-types": "InternalIP",
            "kubelet-client-certificate": self.pki / "admin.crt",
            "kubelet-client-key": self.pki / "admin.key",
        }
        return self.box.start("apiserver", str(self.kube), "apiserver", *flags(told))

    def _controllers_and_scheduler(self) -> None:
        config = self.kubeconfig
        common = {
            "kubeconfig": config,
            "authentication-kubeconfig": config,
            "authorization-kubeconfig": config,
            "bind-address": "127.0.0.1",
            "leader-elect": "false",
        }
        keys_of_accounts = {
            "service-account-private-key-file": self.pki / "tokens.key",
            "root-ca-file": self.pki / "ca.crt",
        }
        for program, more in (("controllers", keys_of_accounts), ("scheduler", {})):
            told = {**common, **more, "cert-dir": self.box.folder / program}
            self.box.start(program, str(self.kube), program, *flags(told))


def flags(told: dict[str, Any]) -> list[str]:
    """Settings as a program of Kubernetes takes them."""
    return [f"--{name}={value}" for name, value in told.items()]
