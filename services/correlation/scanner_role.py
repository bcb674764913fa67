"""The role that scans the signals for clusters that no rule asks for."""

from __future__ import annotations

from services.core.scan import WatchPlan
from services.correlation.roles import HostedRole
from services.correlation.rules import load_rules
from services.correlation.scan_checkpoint import DOMAIN, KIND, LAYOUT
from services.correlation.scan_handler import ScanHandler, ScanSetup
from services.runtime.catalogue import OBSERVATION_PARTITIONS, SIGNALS, checkpoints, consumer_group
from services.runtime.checkpoints import CheckpointStore
from services.runtime.faust_host import ProcessorHost
from services.runtime.outbox import Outbox
from services.runtime.producer import KafkaWriter
from services.runtime.settings import Settings


class ScannerRole(HostedRole):
    """One member of the group `urban.correlation.scanner`. Event time is that of all kinds that rules name."""

    role = "scanner"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        kinds = {(s.domain, s.kind) for rule in load_rules() for s in rule.selectors}
        self._sources = dict.fromkeys(sorted(kinds), OBSERVATION_PARTITIONS)

    def _make_host(self, outbox: Outbox, writer: KafkaWriter) -> ProcessorHost:
        settings = self._settings
        setup = ScanSetup(
            sources=self._sources,
            silence_ms=int(settings.silence_seconds * 1000),
            store=CheckpointStore(settings.kafka, checkpoints(DOMAIN, KIND), writer, (LAYOUT,)),
            outbox=outbox,
            plan=WatchPlan(),
        )
        return ProcessorHost(
            consumer_group(DOMAIN, "scanner"),
            settings.kafka,
            {SIGNALS: lambda partition: ScanHandler(setup, partition)},
            checkpoint_seconds=settings.checkpoint_seconds,
            session_timeout_seconds=settings.session_timeout_seconds,
            instance=settings.instance,
            static=settings.static_member,
        )
