"""Turns the contracts in `proto/urban` into the importable package `urban` in `build/proto`; run it with `make proto`.

Nothing is written when neither a contract nor a tool has changed, so that it can run before everything else. The
package has real `__init__.py` files (an editable install and mypy both want them) and carries the `.proto` files
beside the modules made from them, so that an installed wheel still shows its contracts.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import google.rpc
import grpc_tools
from grpc_tools import protoc

PROTO_ROOT = Path(__file__).resolve().parent
OUTPUT_ROOT = PROTO_ROOT.parent / "build" / "proto"
PACKAGE = "urban"
STAMP = ".made-from"
GENERATOR = ("grpcio-tools", "protobuf", "googleapis-common-protos")


def list_contracts(proto_root: Path = PROTO_ROOT) -> list[Path]:
    """Gives every `.proto` file of the package, relative to `proto_root`, in a fixed order."""
    return sorted(path.relative_to(proto_root) for path in (proto_root / PACKAGE).rglob("*.proto"))


def list_packages(proto_root: Path = PROTO_ROOT) -> list[str]:
    """Gives the dotted names of the Python packages that the contracts make, parents included."""
    folders = {parent for path in list_contracts(proto_root) for parent in path.parents if parent != Path()}
    return sorted(".".join(folder.parts) for folder in folders | {Path(PACKAGE)})


def generate(proto_root: Path = PROTO_ROOT, output_root: Path = OUTPUT_ROOT) -> bool:
    """Brings `output_root/urban` in line with the contracts and says whether anything had to be done.

    Raises `SystemExit` with protoc's status when a contract does not compile; what was there before then stays.
    """
    contracts = list_contracts(proto_root)
    digest = _digest(proto_root, contracts)
    stamp = output_root / STAMP
    if stamp.exists() and stamp.read_text() == digest and (output_root / PACKAGE / "__init__.py").exists():
        return False
    output_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output_root, prefix=".new-") as scratch:
        _compile(proto_root, contracts, Path(scratch))
        _add_package_files(proto_root, contracts, Path(scratch))
        _replace_changed(Path(scratch) / PACKAGE, output_root / PACKAGE)
    stamp.write_text(digest)
    return True


def _digest(proto_root: Path, contracts: list[Path]) -> str:
    """Hashes all that the outcome depends on: the contracts, the tools and this file."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in GENERATOR:
        digest.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    for path in contracts:
        content = (proto_root / path).read_bytes()
        digest.update(f"{path.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _compile(proto_root: Path, contracts: list[Path], target: Path) -> None:
    if not contracts:
        return
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    google_rpc = Path(next(iter(google.rpc.__path__))).parents[1]
    status = protoc.main(
        [
            "protoc",
            f"-I{proto_root}",
            f"-I{well_known}",
            f"-I{google_rpc}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--grpc_python_out={target}",
            *(path.as_posix() for path in contracts),
        ]
    )
    if status:
        raise SystemExit(status)


def _add_package_files(proto_root: Path, contracts: list[Path], target: Path) -> None:
    for name in list_packages(proto_root):
        folder = target.joinpath(*name.split("."))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    (target / PACKAGE / "py.typed").touch()
    for path in contracts:
        shutil.copyfile(proto_root / path, target / path)
        grpc_module = target / path.with_name(path.stem + "_pb2_grpc.py")
        # protoc writes a module of nothing but checks for a file without a service.
        if grpc_module.exists() and "\nclass " not in grpc_module.read_text():
            grpc_module.unlink()


def _replace_changed(fresh: Path, current: Path) -> None:
    """Moves what differs into place, file by file, because a running process may be importing from there."""
    wanted = {path.relative_to(fresh) for path in _files(fresh)}
    for path in sorted(wanted):
        destination = current / path
        if destination.exists() and destination.read_bytes() == (fresh / path).read_bytes():
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        os.replace(fresh / path, destination)
    for path in list(_files(current)):
        if path.relative_to(current) not in wanted:
            path.unlink()
    folders = {current / parent for path in wanted for parent in path.parents}
    for folder in [path for path in current.rglob("*") if path.is_dir() and path.name != "__pycache__"]:
        if folder not in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


if __name__ == "__main__":
    changed = generate()
    print(f"{len(list_contracts())} contracts, {'generated' if changed else 'unchanged'}", file=sys.stderr)
