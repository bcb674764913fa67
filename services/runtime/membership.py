"""A static member of a consumer group, as aiokafka leaves it to be: told, and ended, when another takes its place.

aiokafka joins with a group.instance.id, but its other requests do not carry one, so that the brokers answer a member
whose place was taken as one that was forgotten. It would join again and take the place back, and so on for ever. Here
it asks once more under the id that it had; only who is forgotten is answered as such then, the other is fenced.
tests/contract/test_membership.py pins the names that this relies on.
"""

from __future__ import annotations

from typing import Any

import aiokafka.consumer.consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetCommitRequest

# aiokafka does not know the code.
FENCED_INSTANCE_ID = 82


class FencedError(RuntimeError):
    """Another process is a member of the group under the same name. No KafkaError: those are tried again."""


class Coordinator(GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types
    """As in aiokafka, but for static members."""

    _joins = False

    def reset_generation(self) -> None:
        """Forget the generation, and the member's id too where that was refused in a join."""
        if self._group_instance_id is None or self._joins:
            super().reset_generation()
        else:
            self.generation = OffsetCommitRequest.DEFAULT_GENERATION_ID
            self.request_rejoin()

    async def _do_rejoin_group(self, subscription: Any) -> Any:
        self._joins = True
        try:
            return await super()._do_rejoin_group(subscription)
        finally:
            self._joins = False

    async def _send_req(self, request: Any) -> Any:
        response = await super()._send_req(request)
        if getattr(response, "error_code", 0) == FENCED_INSTANCE_ID:
            raise FencedError(
                f"another process has joined the group {self.group_id} as its static member {self._group_instance_id}: "
                "URBAN_INSTANCE must be of one process alone"
            )
        return response


def mend_static_members() -> None:
    """From now on consumers of aiokafka in this process have such coordinators."""
    aiokafka.consumer.consumer.GroupCoordinator = Coordinator
