"""A copy of this tree in which somebody does the steps of services/README.md, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.integration.domains.steps import REPOSITORY, read_files, read_steps

COPIED = ("services", "proto", "deploy", "tests", "pyproject.toml")
PATIENCE_S = 110.0
_NOT_OURS = shutil.ignore_patterns("__pycache__", ".*_cache")
# What the shell of a person finds as `urban`: the command of the tree that they are in.
_URBAN = '#!/bin/sh\nexec "{python}" -m services.cli.main "$@"\n'


class Tree:
    """A copy, and commands in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # Before what is installed, which is the tree of this file.
        path = os.pathsep.join((str(root), str(root / "build" / "proto")))
        commands = os.pathsep.join((str(root / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("URBAN_")}
        self.environment = kept | {"PYTHONPATH": path, "PATH": commands}

    def shell(self, text: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """What came of lines for a shell."""
        return self.run("sh", "-c", text, environment=environment)

    def run(
        self, *argv: str, environment: Mapping[str, str] | None = None, patience_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            cwd=self.root,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=patience_s,
        )

    def changed(self) -> list[str]:
        """Paths of what differs from the original, generated code apart."""
        return sorted(
            path.relative_to(self.root).as_posix()
            for path in _files(self.root)
            if not (original := REPOSITORY / path.relative_to(self.root)).is_file()
            or original.read_bytes() != path.read_bytes()
        )


def copy_tree(root: Path) -> Tree:
    """The tree as it is here."""
    for name in COPIED:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, root / name, ignore=_NOT_OURS)
        else:
            shutil.copyfile(REPOSITORY / name, root / name)
    command = root / "bin" / "urban"
    command.parent.mkdir()
    command.write_text(_URBAN.format(python=sys.executable))
    command.chmod(0o755)
    tree = Tree(root)
    _generate(tree)
    return tree


class Added(NamedTuple):
    """The tree with the plant, and what commands said on the way there."""

    tree: Tree
    before_drafts: str
    drafts: list[str]
    before_code: str


def add_plant(tree: Tree) -> Added:
    """Steps 1 to 4: the files that people write, the drafts, and code of the contract."""
    for name, text in read_files().items():
        (tree.root / name).parent.mkdir(exist_ok=True)
        (tree.root / name).write_text(text, encoding="utf-8")
    before_drafts = tree.shell("urban topics")
    drafted = tree.shell(read_steps()[3][0].text)
    assert (drafted.returncode, drafted.stderr) == (0, "")
    before_code = tree.shell("urban topics")
    assert before_drafts.returncode == before_code.returncode == 1
    _generate(tree)
    return Added(tree, before_drafts.stderr, drafted.stdout.splitlines(), before_code.stderr)


def _generate(tree: Tree) -> None:
    """What `make proto` does."""
    done = tree.run(sys.executable, "proto/generate.py")
    assert done.returncode == 0, done.stderr


def _files(root: Path) -> Iterator[Path]:
    made = {root / "build", root / "bin"}
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if Path(folder, f) not in made and f != "__pycache__" and "_cache" not in f]
        yield from (Path(folder, name) for name in names)
