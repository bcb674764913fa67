"""Certificates that live as long as a test: an authority, and folders as services take them."""

from __future__ import annotations

from pathlib import Path

import trustme

from services.runtime.certificates import AUTHORITY, CERTIFICATE, KEY


def write_folder(folder: Path, authority: trustme.CA, name: str, *hosts: str) -> Path:
    """ca.crt, tls.crt and tls.key of who is called `name`, and of a server where it has `hosts`; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    issued = authority.issue_cert(*(hosts or (f"{name}.invalid",)), common_name=name)
    authority.cert_pem.write_to_path(str(folder / AUTHORITY))
    issued.cert_chain_pems[0].write_to_path(str(folder / CERTIFICATE))
    issued.private_key_pem.write_to_path(str(folder / KEY))
    return folder


def write_keystore(path: Path, authority: trustme.CA, *hosts: str) -> Path:
    """Key and certificate of a server in one file, as Kafka takes them: the key in PKCS 8."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    issued = authority.issue_cert(*hosts, common_name="kafka")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(plain + issued.cert_chain_pems[0].bytes())
    return path
