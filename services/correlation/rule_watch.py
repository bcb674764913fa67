"""Watches a folder of rules while the service runs: a set that is whole is wanted, a broken one is refused, loudly.

A Kubernetes ConfigMap changes its files by a symbolic link, an editor by writing over a file or by renaming another
one: the texts are looked at, whatever is behind them, and count once two looks in a row have found the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import structlog

from services.core.correlation.rule import Rule
from services.correlation.rule_faults import Fault, faults_of_rule, rule_file_error
from services.correlation.rules import RuleFile, RuleFileError, read_rules, read_texts
from services.runtime import metrics
from services.runtime.declared import declared_names, read_domain

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
Texts = Mapping[str, str]
Check = Callable[[Sequence[RuleFile]], list[str]]


class RuleWatch:
    """The rules that are to be in force."""

    def __init__(self, folder: Path, check: Check | None = None) -> None:
        """`check`: what is wrong with rules beside their form; None: nothing that anybody asks about."""
        self._folder, self._check = folder, check
        self._wanted: tuple[RuleFile, ...] | None = None
        self.faults: tuple[str, ...] = ()  # why what is in the folder is not wanted
        self._followed: dict[tuple[str, int], Rule] = {}
        self._seen: Texts | RuleFileError | None = None  # at the look before
        self._judged: Texts | RuleFileError | None = None
        self._changed = asyncio.Event()

    @property
    def wanted(self) -> tuple[RuleFile, ...]:
        """The newest set of rules that is whole, by name. RuleFileError: there was none so far."""
        if self._wanted is None:
            self.look()
        if self._wanted is None:
            raise RuleFileError(self._folder, "", None, "; ".join(self.faults))
        return self._wanted

    def follow(self, rules: Iterable[Rule]) -> None:
        """Takes note of the rules that incidents stand by, in force or not: another one of their version is refused."""
        self._followed = {(rule.name, rule.version): rule for rule in rules}
        self._judged = None
        if self._wanted is not None and (faults := self._same_versions(self._wanted)):
            self._wanted = None  # it was judged before these were known
            self._refuse(faults)

    async def other_than(
        self, rules: Callable[[], Iterable[Rule]], shadows: Callable[[], Iterable[Rule]] = tuple
    ) -> tuple[RuleFile, ...]:
        """Waits until other rules are wanted in force than `rules`, or to be tried than `shadows`."""
        while self._wanted is None or {(file.rule, file.shadow) for file in self._wanted} == {
            *((rule, False) for rule in rules()),
            *((rule, True) for rule in shadows()),
        }:
            await self._changed.wait()
        return self._wanted

    async def run(self) -> None:
        """Looks again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look_again()

    async def look_again(self) -> None:
        """One look; what was found twice and not judged yet is judged, beside the loop: that takes a moment."""
        found = await asyncio.to_thread(self._read)
        same, self._seen = _same(found, self._seen), found
        if same and not (self._judged is not None and _same(found, self._judged)):
            self._take(found, *await asyncio.to_thread(self._judge, found))

    def look(self) -> None:
        """Takes what is there at this moment: at the start there is nothing that it could take the place of."""
        found = self._read()
        self._take(found, *self._judge(found))

    def _read(self) -> Texts | RuleFileError:
        try:
            return read_texts(self._folder)
        except RuleFileError as error:
            return error
        except OSError as error:
            return RuleFileError(self._folder, "", None, f"cannot be read: {error.strerror}")

    def _judge(self, found: Texts | RuleFileError) -> tuple[tuple[RuleFile, ...], tuple[str, ...]]:
        """The rules of texts, and what is wrong with them."""
        if isinstance(found, RuleFileError):
            return (), (str(found),)
        try:
            files = read_rules(found, self._folder)
        except RuleFileError as error:
            return (), (str(error),)
        return files, (*self._same_versions(files), *(self._check(files) if self._check is not None else ()))

    def _same_versions(self, files: Iterable[RuleFile]) -> tuple[str, ...]:
        reason = "another rule is in force under this version, or has incidents: raise it with every change"
        return tuple(
            str(rule_file_error(self._folder / file.name, Fault("version", file.rule.version, reason), file.text))
            for file in files
            if self._followed.get((file.rule.name, file.rule.version), file.rule) != file.rule
        )

    def _take(self, found: Texts | RuleFileError, files: tuple[RuleFile, ...], faults: tuple[str, ...]) -> None:
        self._judged, self.faults = found, ()
        metrics.RULES_REFUSED.set(0)
        if faults:
            self._refuse(faults)
            return
        self._wanted = files
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _refuse(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        metrics.RULES_REFUSED.set(1)
        for fault in faults:
            log.error("rules_refused", folder=str(self._folder), fault=fault, going_on="with the rules before")


def _same(one: Texts | RuleFileError | None, other: Texts | RuleFileError | None) -> bool:
    return one == other or (isinstance(one, RuleFileError) and str(one) == str(other))


def check_rules(files: Sequence[RuleFile]) -> list[str]:
    """What `urban rules check` says of rules."""
    domains = [read_domain(name) for name in declared_names()]
    found = [(file, fault) for file in files for fault in faults_of_rule(file.rule, domains)]
    return [str(rule_file_error(Path(file.name), fault, file.text)) for file, fault in found]
