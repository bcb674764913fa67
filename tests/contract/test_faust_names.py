"""Pins what services/runtime/faust_driver.py relies on in Faust: an upgrade that changes it fails here alone."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import aiokafka
import faust
import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.tables.recovery import Recovery
from faust.transport import consumer as consumer_module
from faust.transport.drivers import aiokafka as driver

from services.runtime import faust_driver

FAUST_VERSION = "0.15.3"


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_driver_was_written_for_this_version():
    assert version("faust-streaming") == FAUST_VERSION, "run the tests of tests/integration/processor, then change this"


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        (driver.Consumer, "_getmany", ["self", "active_partitions", "timeout"]),
        (driver.Consumer, "_add_gap", ["self", "tp", "offset_from", "offset_to"]),
        (driver.Consumer, "_filter_tps_with_pending_acks", ["self", "topics"]),
        (driver.Consumer, "_new_offset", ["self", "tp"]),
        (driver.Consumer, "_new_consumer_thread", ["self"]),
        (driver.Consumer, "commit", ["self", "topics", "start_new_transaction"]),
        (
            driver.AIOKafkaConsumerThread,
            "_fetch_records",
            ["self", "consumer", "active_partitions", "timeout", "max_records"],
        ),
        (driver.AIOKafkaConsumerThread, "seek_to_committed", ["self"]),
        (driver.Consumer, "seek_to_committed", ["self"]),
        (driver.AIOKafkaConsumerThread, "call_thread", ["self", "fun", "args", "kwargs"]),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
        (driver.AIOKafkaConsumerThread, "__post_init__", ["self"]),
        (driver.AIOKafkaConsumerThread, "on_start", ["self"]),
        (driver.AIOKafkaConsumerThread, "on_partitions_revoked", ["self", "revoked"]),
        (driver.AIOKafkaConsumerThread, "on_partitions_assigned", ["self", "assigned", "generation_id"]),
        (faust.App, "_new_transport", ["self"]),
        (faust.App, "_create_directories", ["self"]),
        (aiokafka.AIOKafkaConsumer, "seek", ["self", "partition", "offset"]),
        (aiokafka.AIOKafkaConsumer, "position", ["self", "partition"]),
        (aiokafka.AIOKafkaConsumer, "assignment", ["self"]),
        (aiokafka.AIOKafkaConsumer, "highwater", ["self", "partition"]),
    ],
)
def test_what_is_overridden_or_called_exists_with_these_parameters(owner: type, name: str, expected: list[str]):
    assert parameters(getattr(owner, name)) == expected


def test_only_what_the_list_above_names_is_overridden():
    pinned = {
        faust_driver.FetchConsumer: {
            "_getmany",
            "_add_gap",
            "_filter_tps_with_pending_acks",
            "_new_offset",
            "_new_consumer_thread",
            "seek_to_committed",
        },
        faust_driver.FetchThread: {
            "_fetch_records",
            "seek_to_committed",
            "__post_init__",
            "on_start",
            "on_partitions_revoked",
            "on_partitions_assigned",
        },
        faust_driver.FetchApp: {"_new_transport", "_create_directories"},
        faust_driver.FetchTransport: set(),
    }
    for ours, names in pinned.items():
        stock = ours.__mro__[1]
        functions = {n for n, value in vars(ours).items() if inspect.isfunction(value) and n != "__init__"}
        assert {n for n in functions if hasattr(stock, n)} == names


def test_the_transport_makes_the_consumer_that_its_class_names():
    assert driver.Transport.Consumer is driver.Consumer
    assert "self.Consumer(" in inspect.getsource(driver.Transport.create_consumer)


def test_an_event_needs_what_faust_reads_of_a_record():
    source = inspect.getsource(driver.Consumer._to_message)
    read = {word.split("record.")[1].rstrip(",)") for word in source.split() if word.startswith("record.")}
    assert read <= set(faust_driver._Event._fields)


def test_offsets_are_committed_through_the_two_overridden_functions_alone():
    assert "_filter_tps_with_pending_acks" in inspect.getsource(consumer_module.Consumer.force_commit)
    assert "self._new_offset(tp)" in inspect.getsource(consumer_module.Consumer._filter_committable_offsets)


def test_read_offsets_are_kept_in_the_mapping_that_the_driver_replaces():
    drain = inspect.getsource(consumer_module.Consumer._drain_messages)
    assert "self._read_offset.__getitem__" in drain
    assert "self._read_offset.__setitem__" in drain
    nothing = faust_driver._NoReadOffsets()
    tp = faust.TopicT
    nothing[tp] = 5  # type: ignore[index]  # any key
    nothing.update({tp: 7})  # type: ignore[dict-item]
    assert nothing[tp] is None  # type: ignore[index]
    assert nothing.pop(tp, None) is None  # type: ignore[call-overload]


def test_after_a_rebalance_faust_goes_to_the_committed_offsets_before_it_fetches():
    source = inspect.getsource(Recovery._resume_streams)
    assert source.index("perform_seek") < source.index("resume_flow")
    assert "self.seek_to_committed()" in inspect.getsource(consumer_module.Consumer.perform_seek)


def test_a_member_with_a_lasting_name_leaves_its_group_only_when_it_has_none_any_more():
    leave = inspect.getsource(GroupCoordinator._maybe_leave_group)
    assert "self._group_instance_id is None" in leave
    assert "self._coordinator = GroupCoordinator(" in inspect.getsource(aiokafka.AIOKafkaConsumer)
    assert "group_instance_id=conf.consumer_group_instance_id" in inspect.getsource(driver.AIOKafkaConsumerThread)


async def test_the_end_of_a_partitions_log_is_found_without_a_look_at_the_others(monkeypatch):
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    consumer.assign([aiokafka.TopicPartition("t", number) for number in range(256)])
    assigned = consumer.assignment()
    consumer._subscription.subscription.assignment.state_value(aiokafka.TopicPartition("t", 7)).highwater = 12
    thread = faust_driver.FetchThread.__new__(faust_driver.FetchThread)
    thread._consumer = consumer

    class OneByOne(frozenset[Any]):
        def __iter__(self):
            raise AssertionError("all partitions are looked at for one")

    monkeypatch.setattr(consumer._subscription.subscription.assignment, "_topic_partitions", OneByOne(assigned))
    with pytest.raises(AssertionError, match="all partitions"):
        list(consumer.assignment())
    told = [thread.log_end(faust_driver.TP("t", number)) for number in range(256)]
    assert told == [12 if number == 7 else None for number in range(256)]
    assert thread.log_end(faust_driver.TP("elsewhere", 7)) is None
    thread._consumer = None
    assert thread.log_end(faust_driver.TP("t", 7)) is None
    monkeypatch.undo()
    await consumer.stop()
