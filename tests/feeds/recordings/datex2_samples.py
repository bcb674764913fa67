"""A small road as DATEX II tells it, versions 2 and 3, with invented values."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

NINE_MS = round(datetime(2026, 6, 1, 9, tzinfo=UTC).timestamp() * 1000)
SOAP = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{}</e:Body></e:Envelope>'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
V2 = f'<d2LogicalModel xmlns="http://datex2.eu/schema/2/2_0" {XSI}>{{}}</d2LogicalModel>'
V3 = (
    '<mc:messageContainer xmlns:mc="http://datex2.eu/schema/3/messageContainer"'
    ' xmlns:r="http://datex2.eu/schema/3/roadTrafficData" xmlns:c="http://datex2.eu/schema/3/common"'
    ' xmlns:l="http://datex2.eu/schema/3/locationReferencing"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><mc:payload>{}</mc:payload></mc:messageContainer>'
)
CHARACTERISTICS = "measurementSpecificCharacteristics"

# Index, lane, type of value, length of vehicles in m: ">" and the least, "<" and the greatest; "": any vehicle.
LANES = (
    (1, "lane1", "trafficFlow", ""),
    (2, "lane1", "trafficSpeed", ""),
    (3, "lane1", "trafficConcentration", ""),
    (4, "lane2", "trafficFlow", "<5.6"),
    (5, "lane2", "trafficFlow", ">5.6"),
    (6, "lane2", "trafficSpeed", "<5.6"),
    (7, "lane2", "trafficSpeed", ">5.6"),
)


def table_v2(characteristics: Sequence[tuple[int, str, str, str]] = LANES, site: str = "EX_1") -> str:
    """A table of one site."""

    def told(index: int, lane: str, kind: str, length: str) -> str:
        operator = "lessThan" if length.startswith("<") else "greaterThan"
        vehicles = (
            f"<lengthCharacteristic><comparisonOperator>{operator}</comparisonOperator>"
            f"<vehicleLength>{length[1:]}</vehicleLength></lengthCharacteristic>"
            if length
            else "<vehicleType>anyVehicle</vehicleType>"
        )
        return (
            f'<{CHARACTERISTICS} index="{index}"><{CHARACTERISTICS}><period>60</period>'
            f"<specificLane>{lane}</specificLane>"
            f"<specificMeasurementValueType>{kind}</specificMeasurementValueType><specificVehicleCharacteristics>"
            f"{vehicles}</specificVehicleCharacteristics></{CHARACTERISTICS}></{CHARACTERISTICS}>"
        )

    return V2.format(
        f'<payloadPublication xsi:type="MeasurementSiteTablePublication"><measurementSiteTable id="T" version="1">'
        f'<measurementSiteRecord id="{site}" version="1"><measurementSiteName><values><value lang="en">Bridge</value>'
        "</values></measurementSiteName><measurementSiteNumberOfLanes>2</measurementSiteNumberOfLanes>"
        f"<measurementSide>northBound</measurementSide>{''.join(told(*one) for one in characteristics)}"
        '<measurementSiteLocation xsi:type="Point"><locationForDisplay><latitude>52.5</latitude>'
        "<longitude>4.75</longitude></locationForDisplay></measurementSiteLocation></measurementSiteRecord>"
        "</measurementSiteTable></payloadPublication>"
    )


def flow(rate: float, inner: str = "") -> str:
    value = f"<vehicleFlow>{inner}<vehicleFlowRate>{rate}</vehicleFlowRate></vehicleFlow>"
    return f'<basicData xsi:type="TrafficFlow">{value}</basicData>'


def speed(kmh: float, inputs: int | None = None, inner: str = "") -> str:
    used = "" if inputs is None else f' numberOfInputValuesUsed="{inputs}"'
    value = f"<averageVehicleSpeed{used}>{inner}<speed>{kmh}</speed></averageVehicleSpeed>"
    return f'<basicData xsi:type="TrafficSpeed">{value}</basicData>'


def occupancy(percent: float) -> str:
    value = f"<occupancy><percentage>{percent}</percentage></occupancy>"
    return f'<basicData xsi:type="TrafficConcentration">{value}</basicData>'


FAULT = "<dataError>true</dataError>"
VALUES = {
    **{1: flow(600), 2: speed(80, 10), 3: occupancy(12.5)},
    **{4: flow(540), 5: flow(60), 6: speed(100, 9), 7: speed(80, 1)},
}


def data_v2(
    values: Mapping[int, str] = VALUES, site: str = "EX_1", time: str = "2026-06-01T11:01:00+02:00", soap: bool = True
) -> str:
    """What one site measured."""
    told = "".join(
        f'<measuredValue index="{index}"><measuredValue>{value}</measuredValue></measuredValue>'
        for index, value in values.items()
    )
    text = V2.format(
        '<payloadPublication xsi:type="MeasuredDataPublication"><siteMeasurements>'
        f'<measurementSiteReference id="{site}" version="1"/><measurementTimeDefault>{time}</measurementTimeDefault>'
        f"{told}</siteMeasurements></payloadPublication>"
    )
    return SOAP.format(text) if soap else text


def write(folder: Path, **texts: str) -> list[Path]:
    paths = []
    for name, text in texts.items():
        paths.append(folder / f"{name}.xml.gz")
        paths[-1].write_bytes(gzip.compress(text.encode()))
    return paths


def v3(time: str = "<r:timeValue>2026-06-01T09:01:00Z</r:timeValue>", fault: str = "") -> dict[str, str]:
    """A site of one lane that is told by number, with all vehicles and lorries."""

    def told(index: int, kind: str, vehicle: str) -> str:
        return (
            f'<r:{CHARACTERISTICS} index="{index}"><r:{CHARACTERISTICS}><r:period>60</r:period>'
            "<r:specificLane><l:laneNumber>1</l:laneNumber></r:specificLane>"
            f"<r:specificMeasurementValueType>{kind}</r:specificMeasurementValueType>"
            f"<r:specificVehicleCharacteristics><c:vehicleType>{vehicle}</c:vehicleType>"
            f"</r:specificVehicleCharacteristics></r:{CHARACTERISTICS}></r:{CHARACTERISTICS}>"
        )

    def value(index: int, kind: str, inner: str) -> str:
        return (
            f'<r:physicalQuantity index="{index}"><r:physicalQuantity xsi:type="r:SinglePhysicalQuantity">'
            f'<r:basicData xsi:type="r:{kind}">{inner}</r:basicData></r:physicalQuantity></r:physicalQuantity>'
        )

    table = (
        '<r:measurementSite id="EX_3" version="1"><r:measurementSiteLocation xsi:type="l:PointLocation">'
        "<l:pointByCoordinates><l:pointCoordinates><l:latitude>52.5</l:latitude><l:longitude>4.75</l:longitude>"
        "</l:pointCoordinates></l:pointByCoordinates></r:measurementSiteLocation>"
        f"{told(1, 'trafficFlow', 'anyVehicle')}{told(2, 'trafficSpeed', 'anyVehicle')}"
        f"{told(3, 'trafficFlow', 'lorry')}"
        "</r:measurementSite>"
    )
    rates = (f"<r:vehicleFlow><c:vehicleFlowRate>{rate}</c:vehicleFlowRate></r:vehicleFlow>" for rate in (600, 150))
    speed_value = f"<r:averageVehicleSpeed>{fault}<c:speed>88.5</c:speed></r:averageVehicleSpeed>"
    data = (
        '<r:siteMeasurements><r:measurementSiteReference id="EX_3" version="1"/>'
        f"<r:measurementTimeDefault>{time}</r:measurementTimeDefault>{value(1, 'TrafficFlow', next(rates))}"
        f"{value(2, 'TrafficSpeed', speed_value)}"
        f"{value(3, 'TrafficFlow', next(rates))}</r:siteMeasurements>"
    )
    return {"table": V3.format(table), "data": V3.format(data)}
