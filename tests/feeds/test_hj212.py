"""Packets of HJ 212: what is broken is named and the next is found; codes, flags and clocks are the standard's."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pytest

from services.environment.domain import ENVIRONMENT
from services.feeds import hj212, hj212_packets
from services.feeds.hj212 import HOURS, MINUTES, REAL_TIME, SOURCES, Data, Rows, Told
from services.feeds.hj212_packets import Packet, PacketFault, crc_of, read_packets
from tests.feeds.hj212_samples import PASSWORD, STACK, framed, packet, stack

EMISSION, AIR, WEATHER = "environment.emission", "environment.air_quality", "environment.weather"
Read = tuple[list[Packet | PacketFault], int, int]


def packets_of(stream: bytes) -> Read:
    """The packets of a stream, how many bytes were read, and how many were passed over."""
    read: list[int] = []
    passed: list[int] = []
    return list(read_packets(io.BytesIO(stream), read.append, passed.append)), sum(read), sum(passed)


def rows_of(stream: bytes, kind: str = EMISSION, data: Data = REAL_TIME) -> tuple[list[Told | PacketFault], Rows]:
    rows = Rows(kind, data)
    found: list[Told | PacketFault] = []
    for one in packets_of(stream)[0]:
        found += [one] if isinstance(one, PacketFault) else list(rows.of(one))
    return [*found, *rows.end()], rows


def one_row(stream: bytes, kind: str = EMISSION, data: Data = REAL_TIME) -> dict[str, object]:
    [told] = rows_of(stream, kind, data)[0]
    assert isinstance(told, Told)
    return told.row


def numbers(found: Iterable[Packet | PacketFault]) -> list[tuple[int, bool]]:
    return [(one.number, isinstance(one, Packet)) for one in found]


def test_the_check_is_that_of_the_standard_s_own_example():
    segment = b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
    assert f"{crc_of(segment):04X}" == "1C80"
    [found], read, passed = packets_of(b"##0101" + segment + b"1C80\r\n")
    assert isinstance(found, Packet)
    assert (found.system, found.command, found.station, found.edition) == ("32", "1062", "010000A8900016F000169DC0", 1)
    assert (found.told, found.part, found.parts) == ({"RtdInterval": "30"}, 1, 1)
    assert (read, passed) == (101 + 12, 0)


def test_a_stream_is_read_whatever_the_pieces_that_it_comes_in(monkeypatch):
    stream = b"noise#" + stack() + b"\r\n" + stack("20260601083030")[:-2] + stack("20260601083100") + b" end #"
    whole = packets_of(stream)
    assert numbers(whole[0]) == [(1, True), (2, True), (3, True)]
    assert whole[1:] == (len(stream), len(b"noise#end#"))
    for size in (1, 2, 3, 7, 64):
        monkeypatch.setattr(hj212_packets, "_CHUNK", size)
        assert packets_of(stream) == whole


GOOD = stack()


@pytest.mark.parametrize(
    ("broken", "field", "value", "reason"),
    [
        (
            GOOD.replace(b"18.5", b"81.5"),
            "CRC",
            GOOD[-6:-2].decode(),
            "must be {crc}, in the packet that begins at byte",
        ),
        (GOOD[:60], "CRC", "", "must be "),
        (b"##" + b"x" * 20, "length", "xxxx", "must be four digits, in the packet that begins at byte {at}"),
        (b"##9999" + GOOD[6:], "length", "9999", "bytes follow, in the packet that begins at byte {at}"),
        (b"##0100" + GOOD[6:], "CRC", "", "must be "),
        (framed(b"ST=31;CN=2011;MN=1;CP=&&DataTime=1"), "CP", "", "must begin and end with &&"),
        (framed(b"ST=31;CN=2011;CP=&&DataTime=1&&"), "MN", "", "is missing"),
        (framed(b"ST=31;CN=2011;MN=1;Flag=x;CP=&&&&"), "FLAG", "x", "must be a whole number"),
        (framed(b"ST=31;CN=2011;MN=1;Flag=6;PNUM=2;PNO=3;CP=&&&&"), "PNO", "3", "must be 1 to 2"),
        (framed(b"ST=31;CN=2011;MN=1;CP=&&a=1;a=2&&"), "a", "2", "is told twice"),
        (framed(b"ST=31;CN=2011;MN=1;Flag=9;CP=&&q83vASM&&"), "CP", "", "enciphers them"),
        (framed(b"ST=31;CN=2011;MN=1;CP=&&\xff&&"), "data segment", "", "is no text at its byte 24"),
    ],
    ids=lambda value: value[:12].decode("ascii", "replace") if isinstance(value, bytes) else "",
)
def test_a_broken_packet_is_named_by_place_and_field_and_the_next_one_is_read(broken, field, value, reason):
    stream = GOOD + broken + stack("20260601083030")
    found, read, passed = packets_of(stream)
    faults = [one for one in found if isinstance(one, PacketFault)]
    assert [one.told["DataTime"] for one in found if isinstance(one, Packet)] == ["20260601083000", "20260601083030"]
    assert read == len(stream)
    assert passed == 0, "what belongs to a broken packet is told with it"
    [fault] = faults
    assert (fault.number, fault.field) == (2, field)
    assert value in fault.value
    assert reason.format(crc=f"{crc_of(broken[6:-6]):04X}", at=len(GOOD)) in fault.reason
    assert PASSWORD not in str(fault)


def test_a_mark_inside_of_a_broken_packet_begins_none_where_the_length_is_right():
    inner = packet("DataTime=20260601083000;a34013-Rtd=9").decode()[:-2]
    broken = packet(f"Info={inner}")[:-6] + b"FFFF\r\n"
    found, _, _ = packets_of(broken + GOOD)
    assert numbers(found) == [(1, False), (2, True)]


@pytest.mark.parametrize("end", [2, 5, 60, len(GOOD) - 3])
def test_what_the_file_cuts_off_is_told(end):
    found, _, passed = packets_of(GOOD + GOOD[:end])
    assert (numbers(found), passed) == ([(1, True), (2, False)], 0)


def test_a_stack_is_told_with_converted_concentrations_by_the_clock_of_china():
    assert one_row(GOOD) == {
        "entity_id": STACK,
        "time": "2026-06-01T00:30:00Z",
        "period_s": 0,
        "dust_mg_m3": 3.4,
        "so2_mg_m3": 18.5,
        "nox_mg_m3": 34.1,
        "flow_m3_h": 181_800.0,
        "oxygen_percent": 7.2,
        "state": "EMISSION_STATE_RUNNING",
    }
    _, rows = rows_of(GOOD)
    assert rows.unread == {"a01012": 1}


def test_what_is_not_converted_is_told_as_it_was_measured():
    assert one_row(packet("DataTime=20260601083000;a21026-Rtd=9,a21026-Flag=N"))["so2_mg_m3"] == 9.0


@pytest.mark.parametrize(
    ("flag", "edition", "so2", "state"),
    [
        ("N", "4", 18.5, "RUNNING"),
        ("T", "4", 18.5, "RUNNING"),
        ("S", "4", None, "RUNNING"),
        ("M", "4", None, "MAINTENANCE"),
        ("C", "4", None, "CALIBRATION"),
        ("D", "4", None, "FAULT"),
        ("B", "4", None, "FAULT"),
        ("F", "4", None, "FAULT"),
        ("F", "0", None, "STOPPED"),
        ("P", "0", None, "FAULT"),
    ],
)
def test_a_flag_says_whether_a_number_was_measured_and_what_the_source_does(flag, edition, so2, state):
    row = one_row(
        packet(f"DataTime=20260601083000;a34013-Rtd=3,a34013-Flag=N;a21026-Rtd=18.5,a21026-Flag={flag}", flag=edition)
    )
    assert (row.get("so2_mg_m3"), row["dust_mg_m3"], row["state"]) == (so2, 3.0, f"EMISSION_STATE_{state}")


def test_what_several_analysers_say_is_that_of_the_worst_and_flags_of_others_say_nothing():
    area = "DataTime=20260601083000;a34013-Rtd=3,a34013-Flag=C;a21026-Rtd=18,a21026-Flag=D;a19001-Rtd=1,a19001-Flag=M"
    row = one_row(packet(area))
    assert row["state"] == "EMISSION_STATE_FAULT"
    assert not {"dust_mg_m3", "so2_mg_m3", "oxygen_percent"} & row.keys()
    area = "DataTime=20260601083000;a34013-Rtd=3,a34013-Flag=N;a19001-Rtd=1,a19001-Flag=M"
    assert one_row(packet(area))["state"] == "EMISSION_STATE_RUNNING"


def test_each_kind_of_data_is_another_recording_of_the_same_and_is_taken_by_itself():
    stream = stack() + b"".join(
        packet(
            f"DataTime=2026060108{minute}00;a21026-Min=1,a21026-Avg=2,a21026-ZsAvg=2.5,a21026-Flag=N", command=command
        )
        for minute, command in (("20", 2051), ("00", 2061), ("00", 2031))
    )
    for data, time, period_s, so2 in (
        (REAL_TIME, "2026-06-01T00:30:00Z", 0, 18.5),
        (MINUTES, "2026-06-01T00:20:00Z", 600, 2.5),
        (HOURS, "2026-06-01T00:00:00Z", 3600, 2.5),
    ):
        row = one_row(stream, data=data)
        assert (row["time"], row["period_s"], row["so2_mg_m3"]) == (time, period_s, so2)
    _, rows = rows_of(stream, data=HOURS)
    assert rows.unread == {"CN=2011": 1, "CN=2051": 1, "CN=2031": 1}


def test_stations_of_air_quality_tell_pollutants_and_weather():
    area = (
        "DataTime=20260601080000;a34004-Avg=35,a34004-Flag=N;a34002-Avg=60,a34002-Flag=N;a21026-Avg=8,a21026-Flag=N;"
        "a21004-Avg=40,a21004-Flag=N;a05024-Avg=70,a05024-Flag=N;a21005-Avg=0.6,a21005-Flag=N;a01001-Avg=21.5,"
        "a01001-Flag=N;a01002-Avg=55,a01002-Flag=N;a01006-Avg=101.2,a01006-Flag=N;a01007-Avg=2,a01007-Flag=D;"
        "a01008-Avg=180,a01008-Flag=N"
    )
    stream = packet(area, command=2061, system=22) + stack()
    row = one_row(stream, AIR, HOURS)
    assert {name: row[name] for name in row if name.endswith("m3")} == {
        **{"pm2_5_ug_m3": 35.0, "pm10_ug_m3": 60.0, "so2_ug_m3": 8.0, "no2_ug_m3": 40.0, "o3_ug_m3": 70.0},
        "co_mg_m3": 0.6,
    }
    assert "state" not in row
    row = one_row(stream, WEATHER, HOURS)
    assert row["humidity"] == pytest.approx(0.55)
    assert row["pressure_hpa"] == pytest.approx(1012.0)
    assert (row["temperature_c"], row["wind_from_deg"], "wind_m_s" in row) == (21.5, 180.0, False)


def test_the_edition_of_2005_has_codes_of_its_own_and_needs_neither_request_nor_flag():
    segment = (
        b"ST=31;CN=2011;PW=1;MN=88888881234567;CP=&&DataTime=20060301120000;01-Rtd=12,01-Flag=N;S01-Rtd=6.5;B02-Rtd=1&&"
    )
    row = one_row(framed(segment))
    assert (row["entity_id"], row["dust_mg_m3"], row["oxygen_percent"], row["flow_m3_h"]) == (
        *("88888881234567", 12.0, 6.5),
        3_600.0,
    )
    segment = (
        b"ST=22;CN=2011;PW=1;MN=8;CP=&&DataTime=20060301120000;a34004-Rtd=12,a34004-Flag=3;a34002-Rtd=9,a34002-Flag=2&&"
    )
    row = one_row(framed(segment), AIR)
    assert (row["pm2_5_ug_m3"], "pm10_ug_m3" in row) == (12.0, False)


def parted(part: int, parts: int, area: str, time: str = "20260601083000") -> bytes:
    return packet(f"DataTime={time};{area}", flag="6", rest=f"PNUM={parts};PNO={part};")


def test_parts_of_one_observation_become_one_row():
    first, second = parted(1, 2, "a34013-Rtd=3,a34013-Flag=N"), parted(2, 2, "a21026-Rtd=9,a21026-Flag=D")
    for stream in (first + second, second + first, first + packet("DataTime=1;w=1", system=32) + second):
        row = one_row(stream)
        assert (row["dust_mg_m3"], row["state"]) == (3.0, "EMISSION_STATE_FAULT")


@pytest.mark.parametrize("behind", [b"", GOOD, parted(1, 1, "a34013-Rtd=4", time="20260601083100")])
def test_a_part_that_does_not_come_is_told_and_the_others_are_taken(behind):
    found, _ = rows_of(parted(1, 2, "a34013-Rtd=3") + behind)
    assert [(type(one), one.number) for one in found[:2]] == [(PacketFault, 1), (Told, 1)]
    assert str(found[0]) == "packet 1: PNO = '2': of 2 parts did not come"
    assert len(found) == (3 if behind else 2)


def test_what_a_station_sends_again_is_one_row_and_other_numbers_of_the_same_time_are_refused(monkeypatch):
    other = stack("20260601083030")
    found, rows = rows_of(GOOD + other + GOOD + stack(so2=19.5) + stack(station="another"))
    assert [(type(one), one.number) for one in found] == [(Told, 1), (Told, 2), (PacketFault, 4), (Told, 5)]
    assert str(found[2]) == (
        "packet 4: DataTime = '2026-06-01T00:30:00Z': was told before, with other numbers or flags"
    )
    assert rows.unread["sent again"] == 1
    monkeypatch.setattr(hj212, "_REMEMBERED", 1)
    assert len(rows_of(GOOD + other + GOOD)[0]) == 3


@pytest.mark.parametrize(
    ("area", "field", "reason"),
    [
        ("a34013-Rtd=3", "DataTime", "must be a time as 20260601083000"),
        ("DataTime=2026060108300;a34013-Rtd=3", "DataTime", "must be a time as 20260601083000"),
        ("DataTime=20261301083000;a34013-Rtd=3", "DataTime", "DataTime is none"),
    ],
)
def test_a_packet_without_a_time_is_refused(area, field, reason):
    [fault] = rows_of(packet(area))[0]
    assert isinstance(fault, PacketFault)
    assert (fault.field, fault.number) == (field, 1)
    assert reason in fault.reason


def test_a_station_whose_name_is_no_id_is_refused():
    [fault] = rows_of(packet("DataTime=20260601083000;a34013-Rtd=3", station="a b"))[0]
    assert isinstance(fault, PacketFault)
    assert (fault.field, fault.value) == ("MN", "a b")


@pytest.mark.parametrize("text", ["----", "nan", "inf", "1_0", "0x1"])
def test_what_is_no_number_is_named_and_the_rest_of_the_packet_is_taken(text):
    fault, told = rows_of(packet(f"DataTime=20260601083000;a34013-Rtd={text},a34013-Flag=N;a21026-Rtd=9"))[0]
    assert isinstance(fault, PacketFault)
    assert isinstance(told, Told)
    assert (fault.field, fault.value, fault.reason) == ("a34013-Rtd", text, "must be a number")
    assert (told.row["so2_mg_m3"], "dust_mg_m3" in told.row) == (9.0, False)


def test_an_unknown_flag_is_named_and_makes_no_row_of_nothing():
    [fault] = rows_of(packet("DataTime=20260601083000;a34013-Rtd=3,a34013-Flag=Q"))[0]
    assert isinstance(fault, PacketFault)
    assert (fault.field, fault.value) == ("a34013-Flag", "Q")


def test_every_column_is_one_of_its_kind():
    for name, source in SOURCES.items():
        columns = {column.name for column in ENVIRONMENT.kind(name.partition(".")[2]).columns}
        assert {factor.column for factor in source.factors.values()} <= columns
        assert set(source.judged) <= columns
