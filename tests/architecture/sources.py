"""Reads Python sources as facts for the architecture tests: what they import, call and define, and where."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 40


@dataclass(frozen=True)
class Import:
    """One imported name in full, e.g. `datetime.datetime`, and its line."""

    name: str
    line: int


@dataclass(frozen=True)
class Call:
    """One called expression as dotted text, e.g. `datetime.now`, its line, and whether importing runs it."""

    name: str
    line: int
    at_import: bool


@dataclass(frozen=True)
class Source:
    """One parsed module; `path` is relative to the root of the repository, with forward slashes."""

    path: str
    text: str
    tree: ast.Module

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree: several rules walk it."""
        return list(ast.walk(self.tree))

    @property
    def package(self) -> str:
        """The dotted package that relative imports start from."""
        return ".".join(Path(self.path).parent.parts)


def read_sources(root: Path, folders: tuple[str, ...] = ("services", "deploy")) -> list[Source]:
    """Parses every module below the folders of `root`; raises `SyntaxError` on one that does not parse."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return [_parse(path, path.relative_to(root).as_posix()) for path in paths]


def _parse(path: Path, name: str) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(name, text, ast.parse(text, filename=name))


def list_imports(source: Source) -> Iterator[Import]:
    """Gives every import of the module, those inside functions and for type checking included."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            origin = _resolve(source.package, node.module, node.level)
            for alias in node.names:
                yield Import(origin if alias.name == "*" else f"{origin}.{alias.name}", node.lineno)
        elif isinstance(node, ast.Call) and (name := _named_import(node)):
            yield Import(name, node.lineno)


def _named_import(node: ast.Call) -> str:
    """The module that `importlib.import_module("…")` names in so many words, or nothing."""
    if not _dotted(node.func).endswith(("import_module", "__import__")) or not node.args:
        return ""
    name = node.args[0]
    return name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""


def _resolve(package: str, module: str | None, level: int) -> str:
    if level == 0:
        return module or ""
    base = package.split(".")[: len(package.split(".")) - (level - 1)]
    return ".".join([*base, module] if module else base)


def list_calls(source: Source) -> Iterator[Call]:
    """Gives every call whose target is a name, by its name after `import … as` and `from … import … as` are undone."""
    aliases = _aliases(source)
    yield from _calls_below(source.tree, aliases, at_import=True)


def _aliases(source: Source) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in source.nodes:
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            origin = _resolve(source.package, node.module, node.level)
            names |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names}
    return names


def _calls_below(node: ast.AST, aliases: dict[str, str], *, at_import: bool) -> Iterator[Call]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        # Decorators and defaults run when the function is defined, its body later.
        body = node.body if isinstance(node.body, list) else [node.body]
        for child in ast.iter_child_nodes(node):
            yield from _calls_below(child, aliases, at_import=at_import and child not in body)
        return
    if isinstance(node, ast.If) and _is_main_guard(node):
        at_import = False
    if isinstance(node, ast.Call) and (name := _dotted(node.func)):
        head, _, rest = name.partition(".")
        full = ".".join(filter(None, (aliases.get(head, head), rest)))
        yield Call(full, node.lineno, at_import)
    for child in ast.iter_child_nodes(node):
        yield from _calls_below(child, aliases, at_import=at_import)


def _is_main_guard(node: ast.If) -> bool:
    return ast.unparse(node.test) in {"__name__ == '__main__'", "'__main__' == __name__"}


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def list_oversize(source: Source) -> Iterator[str]:
    """Names the file and the functions that are longer than the style guide likes, with their lengths."""
    if (lines := len(source.text.splitlines())) > MAX_FILE_LINES:
        yield f"{source.path}: {lines} lines"
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{source.path}:{node.lineno}: {node.name} has {length} lines"
