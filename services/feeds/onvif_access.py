"""What controllers of doors tell after ONVIF, as rows of security.credential_event and of community.passage.

Source: ONVIF Access Control, Door Control and Credential (sections on notification topics), in the state of
github.com/onvif/specs of 2026-07-23. Of a credential its token is taken, to be hashed, and the type of its identifier;
never the identifier itself, which may be a PIN, and never the name of its holder. A use is told when access is granted
or denied, a passage when it is taken. Which gate an access point is and where it leads no event tells: it stands in a
table beside them (access_points.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from services.core.pseudonym import PersonColumns
from services.feeds.access_points import NO_POINT, AccessPoint
from services.feeds.csv_rows import Row, ms_of, time_text
from services.feeds.onvif_messages import DELETED, Items, MetadataFault, Notice, shown
from services.feeds.onvif_topics import door_tamper_of, name_of, state_of

ITEMS = Items(
    frozenset({"AccessPointToken", "DoorToken", "CredentialToken"}),
    frozenset({"State", "ApbViolation", "CredentialToken", "IdentifierType"}),
)
Topic = tuple[str, ...]
GRANTED, TAKEN, DENIED = (("AccessControl", word) for word in ("AccessGranted", "AccessTaken", "Denied"))
DURESS = ("AccessControl", "Duress")
TAMPER, ALARM = (("Door", "State", word) for word in ("DoorTamper", "DoorAlarm"))
PASSBACK = ("Credential", "State", "ApbViolation")
_USES: Mapping[Topic, str] = {
    GRANTED: "GRANTED",
    DENIED: "FAILED",
    DURESS: "DURESS",
    TAMPER: "TAMPERED",
    PASSBACK: "PASSBACK",
}
_PASSAGES: Mapping[Topic, str] = {GRANTED: "PASSED", TAKEN: "PASSED", DENIED: "DENIED", ALARM: "FORCED"}
# Nobody identified, as with a button at the exit: no credential was used.
_ANONYMOUS = "Anonymous"
# Of tdc:DoorAlarmState.
_FORCED = "DoorForcedOpen"
_ALARM_STATES = ("Normal", _FORCED, "DoorOpenTooLong")
# Of pt:RecognitionType; there are no such media for fingerprints, irises, veins, palms, retinas and plates.
_CREDENTIAL_MEDIA = {"Card": "BADGE", "PIN": "PIN", "Face": "FACE"}
_PASSAGE_MEDIA = {"Card": "BADGE", "Face": "FACE"}


class Controller:
    """What has to be remembered of one controller; it is called as its system."""

    def __init__(self, name: str, points: Mapping[tuple[str, str], AccessPoint], people: PersonColumns) -> None:
        self._name, self._points, self._people = name, points, people
        self._on: set[tuple[Topic, str]] = set()  # states of doors that hold now

    def rows(self, kind_name: str, notice: Notice, unread: Counter[str]) -> Iterator[Row]:
        """Rows of the kind in their proto JSON form; `unread`: topics that tell nothing of it.

        MetadataFault names what a notice lacks, or a raw credential where there is no key to hash it with.
        """
        tell, topics = _KINDS[kind_name]
        topic = next((topic for topic in topics if notice.topic[: len(topic)] == topic), None)
        row = None if topic is None else tell(self, topic, notice)
        if row is None:
            unread["/".join(notice.topic)] += 1
        elif row:
            yield row

    def _tell_use(self, topic: Topic, notice: Notice) -> Row | None:
        """An empty row: the state of a door that tells nothing new."""
        if topic in (GRANTED, DENIED) and notice.topic[-1] == _ANONYMOUS:
            return None
        if topic == TAMPER and not self._begins(topic, notice, bool(door_tamper_of(notice))):
            return {}
        if topic == PASSBACK and not state_of(notice, "ApbViolation"):
            return {}
        point = self._point(notice)
        return {
            **self._about(self._name, notice),
            "outcome": f"CREDENTIAL_OUTCOME_{_USES[topic]}",
            **_medium("CREDENTIAL_MEDIUM", notice, _CREDENTIAL_MEDIA),
            **({"direction": f"CREDENTIAL_DIRECTION_{point.direction.upper()}"} if point.direction else {}),
            **point.numbers,
        }

    def _tell_passage(self, topic: Topic, notice: Notice) -> Row | None:
        point = self._point(notice)
        if topic in (GRANTED, TAKEN) and topic[-1] != point.passage:
            return None
        if topic == ALARM and not self._begins(topic, notice, _is_forced(notice)):
            return {}
        gate = _token(notice)
        if not gate:
            raise MetadataFault(f"{'/'.join(notice.topic)}: AccessPointToken or DoorToken is missing")
        passed = _PASSAGES[topic] == "PASSED"
        return {
            **self._about(f"{self._name}:{name_of(gate)}", notice),
            "outcome": f"PASSAGE_OUTCOME_{_PASSAGES[topic]}",
            **_medium("PASSAGE_MEDIUM", notice, _PASSAGE_MEDIA),
            **({f"count_{point.direction}": 1} if passed and point.direction else {}),
        }

    def _begins(self, topic: Topic, notice: Notice, on: bool) -> bool:
        """Whether a state of a door holds from now on; a device tells it again whenever it is asked."""
        about = topic, _token(notice)
        began = on and about not in self._on
        if on:
            self._on.add(about)
        else:
            self._on.discard(about)
        return began

    def _point(self, notice: Notice) -> AccessPoint:
        return self._points.get((self._name, _token(notice)), NO_POINT)

    def _about(self, entity_id: str, notice: Notice) -> Row:
        token = notice.data.get("CredentialToken") or notice.source.get("CredentialToken", "")
        try:
            person = self._people(token, ms_of(notice.time))
        except ValueError as error:
            # What it is, is not repeated.
            raise MetadataFault(f"{'/'.join(notice.topic)}: CredentialToken: {error}") from None
        return {"entity_id": entity_id, "time": time_text(notice.time), **person}


_Tell = Callable[[Controller, Topic, Notice], Row | None]
_KINDS: Mapping[str, tuple[_Tell, Mapping[Topic, str]]] = {
    "security.credential_event": (Controller._tell_use, _USES),
    "community.passage": (Controller._tell_passage, _PASSAGES),
}
KINDS = tuple(_KINDS)


def _token(notice: Notice) -> str:
    return notice.source.get("AccessPointToken") or notice.source.get("DoorToken", "")


def _is_forced(notice: Notice) -> bool:
    state = notice.data.get("State", "")
    if notice.operation == DELETED:
        return False
    if state not in _ALARM_STATES:
        raise MetadataFault(
            f"{'/'.join(notice.topic)}: State = {shown(state)} must be one of {', '.join(_ALARM_STATES)}"
        )
    return state == _FORCED


def _medium(prefix: str, notice: Notice, media: Mapping[str, str]) -> Row:
    kind = media.get(notice.data.get("IdentifierType", "").rpartition(":")[2])
    return {"medium": f"{prefix}_{kind}"} if kind else {}
