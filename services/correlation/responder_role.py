"""The role that applies response plans: versions of incidents in, notifications out."""

from __future__ import annotations

from services.correlation.plans import load_plans
from services.correlation.response_checkpoint import DOMAIN, KIND, LAYOUT
from services.correlation.response_handler import ResponseHandler, ResponseSetup
from services.correlation.roles import HostedRole
from services.runtime.catalogue import INCIDENTS, checkpoints
from services.runtime.checkpoints import CheckpointStore
from services.runtime.faust_host import ProcessorHost
from services.runtime.outbox import Outbox
from services.runtime.producer import KafkaWriter
from services.runtime.settings import Settings


class ResponderRole(HostedRole):
    """One member of the group `urban.correlation.responder`."""

    role = "responder"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._plans = load_plans()

    def _make_host(self, outbox: Outbox, writer: KafkaWriter) -> ProcessorHost:
        settings = self._settings
        setup = ResponseSetup(
            plans=self._plans,
            store=CheckpointStore(settings.kafka, checkpoints(DOMAIN, KIND), writer, LAYOUT),
            outbox=outbox,
            open_reader=self._open_reader,
        )
        return ProcessorHost(
            f"urban.{DOMAIN}.{self.role}",
            settings.kafka,
            {INCIDENTS: lambda partition: ResponseHandler(setup, partition)},
            checkpoint_seconds=settings.checkpoint_seconds,
            session_timeout_seconds=settings.session_timeout_seconds,
            instance=settings.instance,
            static=settings.static_member,
        )
