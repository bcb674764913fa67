"""Car parks as DATEX II tells them, in each of the forms that are read, with invented values."""

from __future__ import annotations

from tests.feeds.recordings.datex2_samples import V2, XSI

TIME = "2026-06-01T11:00:00+02:00"
POINT = (
    "<pointByCoordinates><pointCoordinates><latitude>52.5</latitude><longitude>4.75</longitude></pointCoordinates>"
    "</pointByCoordinates>"
)
EXTENSION = (
    '<payloadPublication xsi:type="GenericPublication"><genericPublicationExtension>{}</genericPublicationExtension>'
    "</payloadPublication>"
)
V3_PARKING = (
    '<d2:payload xmlns:d2="http://datex2.eu/schema/3/d2Payload" xmlns:p="http://datex2.eu/schema/3/parking"'
    f' {XSI} xsi:type="p:{{}}">{{}}</d2:payload>'
)


def name(text: str) -> str:
    return f'<values><value lang="en">{text}</value></values>'


def elements(values: dict[str, object], prefix: str = "") -> str:
    return "".join(f"<{prefix}{key}>{value}</{prefix}{key}>" for key, value in values.items())


def table(spaces: object = 500, car_park: str = "P1") -> str:
    """A table of one car park, version 2."""
    return V2.format(
        EXTENSION.format(
            '<parkingTablePublication><parkingTable id="T" version="1">'
            f'<parkingRecord xsi:type="UrbanParkingSite" id="{car_park}" version="1">'
            f"<parkingName>{name('Station')}</parkingName><parkingNumberOfSpaces>{spaces}</parkingNumberOfSpaces>"
            f'<parkingLocation xsi:type="Point">{POINT}</parkingLocation><groupOfParkingSpaces groupIndex="1">'
            '<groupOfParkingSpaces xsi:type="GroupOfParkingSpaces"><parkingNumberOfSpaces>20</parkingNumberOfSpaces>'
            "</groupOfParkingSpaces></groupOfParkingSpaces></parkingRecord></parkingTable></parkingTablePublication>"
        )
    )


def status(numbers: dict[str, object], more: str = "", time: str = TIME, car_park: str = "P1", prefix: str = "") -> str:
    """The status of one car park: the content of a publication."""
    p = prefix
    return (
        f'<{p}parkingRecordStatus xsi:type="{p}ParkingSiteStatus"><{p}parkingRecordReference id="{car_park}"'
        f' version="1" targetClass="ParkingRecord"/><{p}parkingStatusOriginTime>{time}</{p}parkingStatusOriginTime>'
        f"<{p}parkingOccupancy>{elements(numbers, p)}</{p}parkingOccupancy>{more}</{p}parkingRecordStatus>"
    )


def v2(*statuses: str) -> str:
    told = f"<parkingStatusPublication>{''.join(statuses)}</parkingStatusPublication>"
    return V2.format(EXTENSION.format(told))


def v3(*statuses: str) -> str:
    return V3_PARKING.format("ParkingStatusPublication", "".join(statuses))


def facility(numbers: dict[str, object], *words: str, car_park: str = "7[North]") -> str:
    """The status of a car park in the older form."""
    told = elements({"parkingFacilityStatusTime": TIME, **numbers})
    states = "".join(f"<parkingFacilityStatus>{word}</parkingFacilityStatus>" for word in words)
    reference = f'<parkingFacilityReference targetClass="ParkingFacility" id="{car_park}" version="1.0"/>'
    return f"<parkingFacilityStatus>{reference}{states}{told}</parkingFacilityStatus>"


def facilities(*statuses: str, spaces: int = 220) -> str:
    """A table of one car park in the older form, with its status."""
    return V2.format(
        EXTENSION.format(
            '<parkingFacilityTablePublication><parkingFacilityTable><parkingFacility id="7[North]" version="1.0">'
            f"<parkingFacilityName>{name('North')}</parkingFacilityName>"
            f"<totalParkingCapacity>{spaces}</totalParkingCapacity><entranceLocation>{POINT}</entranceLocation>"
            "</parkingFacility></parkingFacilityTable></parkingFacilityTablePublication>"
            f"<parkingFacilityTableStatusPublication>{''.join(statuses)}</parkingFacilityTableStatusPublication>"
        )
    )
