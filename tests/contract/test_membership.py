"""Static members: what is asked of the settings, and the names of aiokafka that the runtime's membership needs."""

from __future__ import annotations

import inspect

import aiokafka.consumer.consumer
import pytest
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from pydantic import ValidationError

from services.runtime.settings import Settings


def test_a_static_member_needs_a_name_that_lasts():
    with pytest.raises(ValidationError, match="URBAN_STATIC_MEMBER=true needs URBAN_INSTANCE"):
        Settings(static_member=True)  # type: ignore[call-arg]
    assert Settings(static_member=True, instance="worker-0").static_member  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["", "worker 0", "w/0", "w" * 250])
def test_a_name_that_kafka_would_refuse_is_refused_at_the_start(name: str):
    with pytest.raises(ValidationError, match="a static member's name"):
        Settings(static_member=True, instance=name)  # type: ignore[call-arg]


def test_the_names_that_aiokafka_uses():
    assert "self._coordinator = GroupCoordinator(" in inspect.getsource(aiokafka.consumer.consumer)
    # The old id is asked with once more, and with the instance's; who leaves is not told to the group.
    join = inspect.getsource(CoordinatorGroupRebalance.perform_group_join)
    assert "self._coordinator.member_id,\n                    self._coordinator._group_instance_id," in join
    assert "self._coordinator._send_req(request)" in join
    assert "self._group_instance_id is None" in inspect.getsource(GroupCoordinator._maybe_leave_group)
    for name in ("_do_heartbeat", "_do_commit_offsets", "_do_rejoin_group"):
        assert callable(getattr(GroupCoordinator, name))
    assert "self.reset_generation()" in inspect.getsource(GroupCoordinator._do_heartbeat)
    coordinator = inspect.getsource(GroupCoordinator.__init__)
    for name in ("_coordination_task", "_pending_exception", "_group_instance_id"):
        assert f"self.{name} = " in coordinator
