"""Keys and certificates of one cluster, made by openssl for a few days."""

from __future__ import annotations

import subprocess
from pathlib import Path

DAYS = "3"
SERVER_NAMES = "IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc"


def make(folder: Path) -> None:
    """The authority, the server, an administrator, and the key that signs tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    _openssl(folder, *new, "-x509", "-days", DAYS, "-subj", "/CN=cluster", "-keyout", "ca.key", "-out", "ca.crt")
    sign(folder, "server", "/CN=kube-apiserver")
    sign(folder, "admin", "/O=system:masters/CN=admin")
    _openssl(folder, "genrsa", "-out", "tokens.key", "2048")
    _openssl(folder, "rsa", "-in", "tokens.key", "-pubout", "-out", "tokens.pub")


def sign(folder: Path, name: str, subject: str) -> None:
    """A key NAME.key, and for it a certificate NAME.crt of the authority in `folder`."""
    new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", subject]
    _openssl(folder, *new, "-keyout", f"{name}.key", "-out", f"{name}.csr")
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={SERVER_NAMES}\n")
    signed = ["x509", "-req", "-days", DAYS, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    _openssl(folder, *signed, "-in", f"{name}.csr", "-out", f"{name}.crt", "-extfile", extensions.name)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
