"""The role that applies response plans, and delivers what they tell: incidents in, notifications out."""

from __future__ import annotations

from services.correlation import delivery_handler
from services.correlation.courier import Patience
from services.correlation.delivery_handler import DeliveryHandler, DeliverySetup
from services.correlation.plans import load_plans
from services.correlation.response_checkpoint import DOMAIN, KIND, LAYOUT
from services.correlation.response_handler import ResponseHandler, ResponseSetup
from services.correlation.roles import HostedRole
from services.correlation.rules import load_rules
from services.correlation.webhook import Address, secret_of
from services.runtime.catalogue import INCIDENTS, NOTIFICATIONS, checkpoints, consumer_group
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
        # Rules of a folder of its own come and go: a plan that names one that is not there waits for it.
        self._plans = load_plans(known=None if settings.rules else [rule.name for rule in load_rules()])
        self._addresses = {
            receiver: Address(url, secret_of(settings.receiver_secrets[receiver].get_secret_value()))
            for receiver, url in settings.receivers.items()
        }

    def _make_host(self, outbox: Outbox, writer: KafkaWriter) -> ProcessorHost:
        settings = self._settings
        setup = ResponseSetup(
            plans=self._plans,
            store=CheckpointStore(settings.kafka, checkpoints(DOMAIN, KIND), writer, (LAYOUT,)),
            outbox=outbox,
            open_reader=self._open_reader,
        )
        delivery = DeliverySetup(
            addresses=self._addresses,
            patience=Patience(settings.delivery_patience_seconds),
            store=CheckpointStore(
                settings.kafka, checkpoints(DOMAIN, delivery_handler.KIND), writer, (delivery_handler.LAYOUT,)
            ),
            writer=writer,
        )
        return ProcessorHost(
            consumer_group(DOMAIN, "responder"),
            settings.kafka,
            {
                INCIDENTS: lambda partition: ResponseHandler(setup, partition),
                NOTIFICATIONS: lambda partition: DeliveryHandler(delivery, partition),
            },
            checkpoint_seconds=settings.checkpoint_seconds,
            session_timeout_seconds=settings.session_timeout_seconds,
            instance=settings.instance,
            static=settings.static_member,
        )
