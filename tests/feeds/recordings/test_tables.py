"""Tables become observations by a mapping: units, zones, words, ids; every row that does not is told by its line."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from services.cli.domains import find_kind
from services.feeds.recordings.reading import Plan, Reading, StoppedError, Tally
from tests.feeds.recordings.reading import CITY, WIDE, read, write

HOUR_MS = 3_600_000
T0 = 1_717_408_800_000  # 2024-06-03T10:00Z

WEATHER = """
about = "a station"
[time]
columns = ["day", "clock"]
zone = "Europe/Copenhagen"
[kinds."environment.weather"]
entity = "station {name}"
period_s = 600
[kinds."environment.weather".columns]
temperature_c = { column = "temp (F)", factor = 0.5555555555555556, offset = -17.77777777777778 }
humidity = { column = "hum", factor = 0.01, missing = ["-1"] }
wind_from_deg = { column = "wind", values = { N = 0, E = 90 }, optional = true }
"""


def mapped(tmp_path: Path, lines: list[str], mapping: str = WEATHER, name: str = "a.csv"):
    form = tmp_path / "mapping.toml"
    form.write_text(mapping, encoding="utf-8")
    return read("environment.weather", write(tmp_path / name, lines), form=str(form))


def test_units_zones_words_and_ids_are_those_of_the_mapping(tmp_path):
    found = mapped(
        tmp_path,
        ["name,day,clock,temp (F),hum,wind", 'Søndre "A",2024-06-03,12:00,50,40,E', " b ,2024-06-03,12:10,,-1,N"],
    )
    assert found.refused == []
    ((first, at, period, told), (second, then, _, rest)) = found.rows
    assert (first, second) == ("station-S-ndre-A", "station-b")
    assert (at, then - at, period) == (T0, 600_000, 600)
    assert told == pytest.approx({"temperature_c": 10.0, "humidity": 0.4, "wind_from_deg": 90.0})
    assert rest == {"wind_from_deg": 0.0}


def test_every_row_that_is_no_observation_is_told_by_line_field_value_and_reason(tmp_path):
    found = mapped(
        tmp_path,
        [
            "name,day,clock,temp (F),hum,wind",
            "a,2024-06-03,12:00,50,40,E",
            "a,2024-06-03,12:10,warm,40,E",
            "",
            "a,2024-06-03,12:20,50,40,up",
            "a,2024-06-03,12:30,50",
            "a,2024-31-03,12:40,50,40,E",
            "a,2024-03-31,02:30,50,40,E",
            "a,2024-06-03,12:50,50,101,E",
            "?,2024-06-03,13:00,50,40,E",
            "a,2024-06-03,13:10,,,",
            "a,2024-06-03,13:20,50,40,E",
        ],
    )
    assert sorted(found.lines()) == [
        (3, "temperature_c", "warm"),
        (5, "wind_from_deg", "up"),
        (6, "line", "a,2024-06-03,12:30,50"),
        (7, "time", "2024-31-03 12:40"),
        (8, "time", "2024-03-31 02:30"),
        (9, "humidity", "1.01"),
    ]
    reasons = {r.line: r.reason for r in found.refused}
    assert reasons[3] == "must be a number, in °C"
    assert reasons[5] == "must be one of N, E"
    assert reasons[6] == "must have 6 columns, not 4"
    assert reasons[8] == "no clock of Europe/Copenhagen shows it: it is put forward then"
    assert reasons[9] == "must be 0 to 1 1"
    assert found.tally.empty == 1
    assert [time for _, time, *_ in found.rows] == [T0, T0 + HOUR_MS, T0 + 80 * 60_000]


def test_lines_are_counted_over_large_files(tmp_path):
    rows = 120_000
    lines = [f"a,2024-06-03,{10 + i // 60 % 10}:{i % 60:02},50,40,N" for i in range(rows)]
    lines[77_777] = "a,2024-06-03,10:00,50,40"
    lines[99_999] = "a,2024-06-03,10:00,x,40,N"
    found = mapped(
        tmp_path, ["name,day,clock,temp (F),hum,wind", *lines], WEATHER.replace("[time]", "sorted = false\n[time]", 1)
    )
    assert found.lines() == [(77_779, "line", "a,2024-06-03,10:00,50,40"), (100_001, "temperature_c", "x")]
    assert sum(len(frame.frame) for frame in found.frames) == rows - 2


def test_frames_come_before_the_whole_file_is_read(tmp_path):
    form = write(tmp_path / "m.toml", WEATHER.splitlines())
    days = (f"2024-{month:02}-{day:02}" for month in range(1, 7) for day in range(1, 29))
    clocks = [f"{i // 60:02}:{i % 60:02}" for i in range(24 * 60)]
    rows = [f"a,{day},{clock},50,40,N" for day in days for clock in clocks if (day, clock[:2]) != ("2024-03-31", "02")]
    path = write(tmp_path / "a.csv", ["name,day,clock,temp (F),hum,wind", *rows])
    domain, kind = find_kind("environment.weather")
    tally = Tally(lambda refusal: None)
    frames = Reading(Plan(domain, [kind], [path], CITY, str(form)), tally, lambda note: None).frames()
    next(frames)
    assert 0 < tally.bytes_read < tally.bytes_total / 2
    assert 1 + sum(1 for _ in frames) == len(rows) / 5
    assert tally.bytes_read == tally.bytes_total


def test_reading_ends_where_nobody_wants_more_also_while_it_is_put_in_order(tmp_path):
    form = write(tmp_path / "m.toml", ["sorted = false", *WEATHER.splitlines()])
    rows = ["a,2024-06-03,12:00,50,40,N"] * 100_000
    path = write(tmp_path / "a.csv", ["name,day,clock,temp (F),hum,wind", *rows])
    domain, kind = find_kind("environment.weather")
    tally = Tally(lambda refusal: None)
    frames = Reading(Plan(domain, [kind], [path], CITY, str(form)), tally, lambda note: None).frames()
    tally.stopped = True
    with pytest.raises(StoppedError):
        next(frames)
    assert tally.bytes_read < tally.bytes_total


def test_a_file_without_a_column_is_refused_as_a_whole(tmp_path):
    with pytest.raises(ValueError, match=r"a\.csv lacks the column hum; it has name, day, clock, temp \(F\)"):
        mapped(tmp_path, ["name,day,clock,temp (F)", "a,2024-06-03,12:00,50"])


def test_an_empty_file_and_one_with_a_header_only_hold_nothing(tmp_path):
    assert mapped(tmp_path, ["name,day,clock,temp (F),hum,wind"]).frames == []
    with pytest.raises(ValueError, match="must name each column once"):
        mapped(tmp_path, [""])


def test_other_encodings_delimiters_and_marks_of_byte_order(tmp_path):
    form = write(tmp_path / "m.toml", ['encoding = "latin-1"', 'delimiter = ";"', *WEATHER.splitlines()])
    path = tmp_path / "a.csv"
    path.write_bytes("name;day;clock;temp (F);hum\nÅ1;2024-06-03;12:00;50;40\n".encode("latin-1"))
    assert read("environment.weather", path, form=str(form)).rows[0][0] == "station-1"
    path.write_bytes("\ufeffname,day,clock,temp (F),hum\nÅ1,2024-06-03,12:00,50,40\n".encode())
    assert len(mapped(tmp_path, [path.read_text(encoding="utf-8").rstrip()], name="b.csv").rows) == 1


@pytest.mark.parametrize("pack", ["gz", "zip"])
def test_a_packed_file_is_the_same_recording(tmp_path, pack):
    lines = ["name,day,clock,temp (F),hum", *(f"a,2024-06-03,12:{i:02},50,40" for i in range(60))]
    plain = mapped(tmp_path, lines)
    text = (tmp_path / "a.csv").read_bytes()
    packed = tmp_path / f"a.csv.{pack}"
    if pack == "gz":
        packed.write_bytes(gzip.compress(text))
    else:
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("inner/a.csv", text)
    found = read("environment.weather", packed, form=str(tmp_path / "mapping.toml"))
    assert (found.rows, found.numbers) == (plain.rows, plain.numbers)


@pytest.mark.parametrize("ending", [".gz", ".zip"])
def test_what_cannot_be_unpacked_is_told(tmp_path, ending):
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(b"name,day\n")
    (tmp_path / "m.toml").write_text(WEATHER)
    with pytest.raises(ValueError, match="cannot be unpacked"):
        read("environment.weather", path, form=str(tmp_path / "m.toml"))


def test_a_matrix_of_entities_has_an_observation_in_each_cell(tmp_path):
    form = write(tmp_path / "wide.toml", WIDE.splitlines())
    found = read("traffic.road_flow", write(tmp_path / "a.csv", ["1,2", "10,0", "x,20"]), form=str(form))
    assert [(entity, time - T0) for entity, time, *_ in found.rows] == [("loop-1", 0), ("loop-2", 300_000)]
    assert [told["speed_kmh"] for *_, told in found.rows] == pytest.approx([16.09344, 32.18688])
    assert found.lines() == [(3, "speed_kmh of 1", "x")]
    assert found.tally.empty == 1


def test_a_row_of_a_matrix_that_cannot_be_read_or_is_empty_takes_its_step_all_the_same(tmp_path):
    form = write(tmp_path / "wide.toml", WIDE.splitlines())
    found = read("traffic.road_flow", write(tmp_path / "a.csv", ["1,2", "10", ",", "1e300,20"]), form=str(form))
    assert [(entity, time - T0) for entity, time, *_ in found.rows] == [("loop-2", 600_000)]
    assert sorted(found.lines()) == [(2, "line", "10"), (4, "speed_kmh", "inf")]


JSON = """
about = "objects"
form = "json"
key = "="
[time]
columns = ["at"]
format = "epoch_s"
[kinds."traffic.road_flow"]
entity = "{key}"
pattern = 'road-(\\d+)/(lane\\d)'
entity_id = '\\1:\\2'
[kinds."traffic.road_flow".columns]
flow_veh_h = { column = "flow", optional = true }
speed_kmh = { column = "speed", optional = true }
"""


def test_lines_of_json_with_a_key_before_them(tmp_path):
    form = write(tmp_path / "json.toml", JSON.splitlines())
    lines = [
        'x/road-5/lane1= {"at": 1717408800, "flow": 120}',
        'x/road-5/lane2= {"at": 1717408800.5, "speed": "80"}',
        '{"at": 1}',
        'x/road-5/lane3= {"at": 1717408800, "flow": [1]}',
        'y= {"at": 1717408800, "flow": 1}',
        "x/road-5/lane1= 7",
    ]
    found = read("traffic.road_flow", write(tmp_path / "a.txt", lines), form=str(form))
    assert [row[0] for row in found.rows] == ["5:lane1", "5:lane2"]
    assert [row[3] for row in found.rows] == [{"flow_veh_h": 120.0}, {"speed_kmh": 80.0}]
    assert sorted(found.lines()) == [
        (3, "line", '{"at": 1}'),
        (4, "flow_veh_h", "[1]"),
        (5, "entity_id", "y"),
        (6, "line", "x/road-5/lane1= 7"),
    ]
