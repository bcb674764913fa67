"""YAML as plain data, with the line of every field, so that an error can name it."""

from __future__ import annotations

from typing import Any

import yaml

# A rule is a page or two. What is larger, or holds more by its aliases, is none.
MAX_CHARACTERS = 200_000
MAX_VALUES = 20_000
_PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class YamlError(ValueError):
    """A text that is no YAML that we read: the line, and the reason."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


class KeyTwiceError(YamlError):
    """A key that stands there twice: `line` is that of the second one."""

    def __init__(self, field: str, key: str, first_line: int, line: int) -> None:
        super().__init__(line, f"{key!r} stands there twice")
        self.field, self.key, self.first_line = field, key, first_line


class Lines:
    """Where the fields of a document stand. A field is named as errors name it: "signals[0].kind"."""

    def __init__(self) -> None:
        self._lines: dict[str, int] = {}

    def put(self, field: str, line: int) -> None:
        self._lines[field] = line

    def of(self, field: str) -> int:
        """The line of a field; where it is not there, that of what it would be in. Counted from 1."""
        while field not in self._lines and field:
            field = field[: max(field.rfind("."), field.rfind("["), 0)]
        return self._lines.get(field, 1)


def read_yaml(text: str) -> tuple[Any, Lines]:
    """Mappings, lists, texts, numbers, truth values; no key twice: YAML would take the last one without a word."""
    if len(text) > MAX_CHARACTERS:
        raise YamlError(1, f"has {len(text):,} characters, more than {MAX_CHARACTERS:,}")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines = Lines()
        return (None if node is None else _Walk(loader, lines).value("", node)), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(1 if mark is None else mark.line + 1, f"is no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise YamlError(1, f"is no YAML: {error}") from None
    except RecursionError:
        raise YamlError(1, "lies in itself, or too deep") from None
    finally:
        loader.dispose()


class _Walk:
    """Goes through the nodes of a document."""

    def __init__(self, loader: yaml.SafeLoader, lines: Lines) -> None:
        self._loader, self._lines = loader, lines
        self._values = 0

    def value(self, field: str, node: yaml.Node) -> Any:
        line = node.start_mark.line + 1
        self._values += 1
        # An alias may hold many others: it costs what it holds.
        if self._values > MAX_VALUES:
            raise YamlError(line, f"holds more than {MAX_VALUES:,} values")
        self._lines.put(field, line)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN:
            raise YamlError(line, f"is no YAML that is read here: {node.tag}")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(f"{field}[{i}]", entry) for i, entry in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return self._loader.construct_object(node, deep=True)
        found: dict[Any, Any] = {}
        for key_node, entry in node.value:
            key = self._loader.construct_object(key_node, deep=True)
            key_line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise YamlError(key_line, f"the key {key!r} must be text")
            inner = f"{field}.{key}" if field else key
            if key in found:
                raise KeyTwiceError(inner, key, self._lines.of(inner), key_line)
            found[key] = self.value(inner, entry)
            self._lines.put(inner, key_line)
        return found
