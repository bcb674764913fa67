"""The responder over a log of incidents: who is told of what, which clocks run out, and that nobody is told twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.core.correlation.incident import IncidentState
from services.core.response.case import Case, Notice, Reason, Seen, notice_id
from services.core.response.plan import Clock, Condition, Level, Plan
from services.core.response.responder import GRACE_MS, Responder
from services.core.signals import Evidence, Severity
from services.correlation.notices import notification_message
from services.correlation.response_checkpoint import SavedCases, cases_in, checkpoint_of_cases
from services.runtime.packing import pack, unpack
from tests.core.correlation.city import HOUR, NOON, crowding
from tests.examples import examples

S = IncidentState
MINUTE = 60_000
PLAN = Plan(
    name="plan",
    version=1,
    about="a test",
    rules=("rule",),
    levels=(
        Level("low", ("officer",), clocks=(Clock("acknowledge", 600, ("leader",)), Clock("close", 7200, ("leader",)))),
        Level("high", ("officer", "command"), Severity.SEVERE, clocks=(Clock("acknowledge", 60, ("mayor",)),)),
    ),
)
FIRST = Seen("i", "auckland", "rule", 1, S.OPEN, Severity.MODERATE, "Something", -36.8, 174.7, 0)


class Desk:
    """A responder, and what it has told: (minute, reason, receiver)."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.plan = plan
        self.responder = Responder([plan])
        self.notices: list[Notice] = []
        self.revision = 0

    def see(self, minute: float, seen: Seen = FIRST, **changes: object) -> list[tuple[str, str]]:
        self.revision += 1
        made = replace(seen, revision=self.revision, **changes)  # type: ignore[arg-type]  # the tests name real fields
        return self._keep(self.responder.take(made, round(minute * MINUTE)))

    def wait(self, minute: float) -> list[tuple[str, str]]:
        return self._keep(self.responder.advance(round(minute * MINUTE) + GRACE_MS))

    def restart(self) -> None:
        message = checkpoint_of_cases(0, SavedCases(self.responder.cases(), 1, 2))
        saved = cases_in(message)
        assert saved == SavedCases(self.responder.cases(), 1, 2)
        self.responder = Responder([self.plan], saved.cases)

    def _keep(self, notices: Iterable[Notice]) -> list[tuple[str, str]]:
        found = list(notices)
        self.notices += found
        return [(n.reason.name.lower() + (f" {n.clock}" if n.clock else ""), n.receiver) for n in found]


def test_a_clock_that_runs_out_escalates_once():
    desk = Desk()
    assert desk.see(0) == [("opened", "officer")]
    assert desk.wait(9.99) == []
    assert desk.wait(10) == [("escalated acknowledge", "leader")]
    assert desk.wait(60) == []
    assert desk.see(61) == []
    desk.restart()
    assert desk.wait(90) == []
    assert desk.notices[1].due_ms == 10 * MINUTE
    assert desk.notices[1].text == "Nobody has taken it over in time, level low: Something."


def test_who_acts_in_time_stops_the_clock_also_in_the_last_moment():
    desk = Desk()
    desk.see(0)
    assert desk.see(10 + GRACE_MS / MINUTE - 0.001, acted=frozenset(["acknowledge"])) == []
    assert desk.wait(60) == []


def test_a_replay_that_nobody_looks_at_meanwhile_tells_the_same():
    watched, read = Desk(), Desk()
    for desk, looks in ((watched, range(0, 200)), (read, [])):
        desk.see(0)
        for minute in looks:
            desk.wait(minute / 10)
        desk.see(30, acted=frozenset(["acknowledge"]))
        desk.see(200, state=S.RESOLVED)
    assert watched.notices == read.notices
    assert [n.reason for n in read.notices] == [
        Reason.OPENED,
        Reason.ESCALATED,
        Reason.ESCALATED,
        Reason.ENDED,
        Reason.ENDED,
    ]


def test_levels_go_up_and_down_with_the_severity_and_their_clocks_start_anew():
    desk = Desk()
    desk.see(0)
    assert desk.see(1, severity=Severity.EXTREME) == [("raised", "officer"), ("raised", "command")]
    assert desk.wait(2) == [("escalated acknowledge", "mayor")]
    assert desk.see(3) == [("lowered", "officer"), ("lowered", "command"), ("lowered", "mayor")]
    assert desk.wait(30) == [("escalated acknowledge", "leader")], (
        "ten minutes from the fall on: it is the lower one's own"
    )
    assert ("raised", "mayor") in desk.see(31, severity=Severity.SEVERE)
    assert desk.wait(60) == [], "it has run out at this level in this round"


def test_a_clock_of_a_higher_level_runs_out_too_where_that_of_a_lower_one_has():
    desk = Desk()
    desk.see(0)
    assert desk.wait(10) == [("escalated acknowledge", "leader")]
    assert [who for _, who in desk.see(11, severity=Severity.SEVERE)] == ["officer", "leader", "command"]
    desk.restart()
    assert desk.wait(11.9) == [], "it runs from the moment of its level on"
    assert desk.wait(12) == [("escalated acknowledge", "mayor")]
    desk.restart()
    desk.see(13)
    desk.see(14, severity=Severity.SEVERE)
    desk.see(15)
    assert desk.wait(60) == [], "each ran out at its level"
    assert len({n.id for n in desk.notices}) == len(desk.notices)


def test_who_has_it_in_hand_at_a_lower_level_has_it_at_a_higher_one():
    desk = Desk()
    desk.see(0)
    desk.see(11, acted=frozenset(["acknowledge"]))
    desk.see(12, severity=Severity.SEVERE, acted=frozenset(["acknowledge"]))
    assert [n.clock for n in desk.notices if n.clock] == ["acknowledge"], (
        "that of the lower level, before anybody acted"
    )
    assert desk.wait(60) == []


def test_a_checkpoint_of_a_version_that_noted_no_level_tells_nobody_twice_and_is_read_by_it():
    desk = Desk()
    desk.see(0)
    desk.wait(10)
    told = {n.id for n in desk.notices}
    # Which ids that version gave to what it told behind its last checkpoint: they are read from the topic.
    assert notice_id("i", "plan", "0/clock/acknowledge", "leader") in told
    (case,) = desk.responder.cases()
    assert "acknowledge" in case.breached, "what that version looks for if it comes back"
    case.breached = ("acknowledge",)
    desk.restart()
    desk.see(11, severity=Severity.SEVERE)
    assert desk.wait(60) == [], "it may have told this one"
    desk.see(61, severity=Severity.SEVERE, state=S.REOPENED, reopen_count=1)
    assert desk.wait(62) == [("escalated acknowledge", "mayor")], "a new round knows"


def test_what_is_to_be_done_at_a_level_is_told_with_it_and_not_with_the_end():
    low, high = PLAN.levels
    desk = Desk(replace(PLAN, levels=(replace(low, instruction="Look at {incident} in {city}."), high)))
    desk.see(0)
    desk.wait(10)
    desk.see(11, severity=Severity.SEVERE)
    desk.see(12)
    desk.see(13, state=S.RESOLVED)
    told = {n.reason: notification_message(n).instruction for n in desk.notices}
    todo = "Look at i in auckland."
    assert told == {
        Reason.OPENED: todo,
        Reason.ESCALATED: todo,
        Reason.RAISED: "",
        Reason.LOWERED: todo,
        Reason.ENDED: "",
    }


def test_what_happened_is_told_with_each_step_also_after_a_restart():
    desk = Desk()
    desk.see(0, explanation="Something: since noon.")
    desk.restart()
    desk.wait(10)
    assert {notification_message(n).explanation for n in desk.notices} == {"Something: since noon."}


def test_what_a_newer_version_of_the_software_wrote_beside_is_passed_over():
    desk = Desk()
    desk.see(0)
    message = checkpoint_of_cases(0, SavedCases(desk.responder.cases(), 1, 2))
    arrays, texts = unpack(message.body)
    texts["cases"] = [text.replace('{"seen":{', '{"mood":1,"seen":{"weather":"fair",') for text in texts["cases"]]
    message.body = pack(arrays, texts)
    assert "weather" in texts["cases"][0]
    assert cases_in(message).cases == desk.responder.cases()


def test_the_end_is_told_once_to_everybody_who_was_told():
    desk = Desk()
    desk.see(0)
    desk.wait(10)
    assert desk.see(20, state=S.RESOLVED) == [("ended", "officer"), ("ended", "leader")]
    assert desk.see(30, state=S.RESOLVED, closed=True, acted=frozenset(["close"])) == []
    assert desk.wait(10_000) == []
    assert desk.responder.live == 0


def test_what_its_signals_resolve_still_must_be_closed_and_nothing_else():
    desk = Desk()
    desk.see(0)
    desk.see(5, state=S.RESOLVED)
    assert desk.wait(120) == [("escalated close", "leader")]
    assert desk.see(500, state=S.RESOLVED, settled=True) == []
    assert desk.responder.live == 0


def test_a_reopened_incident_is_told_anew_and_its_clocks_run_again():
    desk = Desk()
    desk.see(0)
    desk.see(1, state=S.RESOLVED, closed=True)
    assert desk.see(50, state=S.REOPENED, reopen_count=1) == [("opened", "officer")]
    assert desk.wait(60) == [("escalated acknowledge", "leader")]
    assert len({n.id for n in desk.notices}) == len(desk.notices)


def test_a_planned_incident_is_told_to_nobody_and_one_that_is_found_to_be_planned_is_withdrawn():
    desk = Desk()
    assert desk.see(0, planned_event="match") == []
    assert desk.wait(30) == []
    assert desk.see(31) == [("opened", "officer")]
    assert desk.see(32, planned_event="match") == [("withdrawn", "officer")]
    assert desk.wait(90) == []
    assert desk.see(91) == [("opened", "officer")]
    assert desk.see(92, state=S.RETRACTED) == [("withdrawn", "officer")]


def test_an_heir_goes_on_where_the_incident_was_and_nobody_is_told_again():
    desk = Desk()
    desk.see(0)
    assert desk.see(5, replace(FIRST, id="heir"), supersedes=("i",)) == []
    assert desk.see(5, state=S.SUPERSEDED, superseded_by="heir") == []
    assert desk.wait(10) == [("escalated acknowledge", "leader")]
    assert desk.notices[-1].seen.id == "heir"


def test_an_incident_that_stands_again_after_its_heir_goes_on_too():
    desk = Desk()
    desk.see(0)
    desk.see(5, replace(FIRST, id="heir"), supersedes=("i",))
    desk.see(5, state=S.SUPERSEDED, superseded_by="heir")
    assert desk.see(6, supersedes=("heir",)) == []
    assert desk.see(6, replace(FIRST, id="heir"), state=S.SUPERSEDED, superseded_by="i") == []
    assert desk.responder.live == 1


def test_versions_that_are_written_again_tell_nothing_even_when_all_is_over():
    desk = Desk()
    desk.see(0)
    desk.see(1, state=S.RESOLVED, closed=True)
    before = len(desk.notices)
    for revision in (1, 2):
        assert desk.responder.take(replace(FIRST, revision=revision), 2 * MINUTE) == []
    assert len(desk.notices) == before


def test_an_incident_of_a_rule_without_a_plan_is_passed_over():
    assert Desk().see(0, rule="other") == []


# Hours:     0 1 2 3 4 5 6 7 8
# figure     9 9 1 1 1 1 9 1 1      high above 5; lower after two hours
# level      h h h l l l h h l
def test_a_level_follows_the_figures_up_at_once_and_down_once_after_its_time_and_each_change_is_told_once():
    plan = replace(
        PLAN,
        levels=(Level("low", ("officer",)), Level("high", ("officer", "command"), any_of=((Condition("aqi", 5.0),),))),
        lower_after_s=7200,
    )
    hours = [
        replace(crowding(start_ms=NOON + h * HOUR), evidence=(Evidence("aqi", float(figure), 1.0),))
        for h, figure in enumerate([9, 9, 1, 1, 1, 1, 9, 1, 1])
    ]
    versions = [replace(FIRST, revision=n, signals=tuple(hours[:n])) for n in range(1, 10)]
    desk, again = Desk(plan), Desk(plan)
    for n, seen in enumerate(versions):
        desk._keep(desk.responder.take(seen, n * HOUR))
        again._keep(again.responder.take(seen, n * HOUR))
        again.restart()
        for old in versions[: n + 1]:  # read again, after a kill
            assert again.responder.take(old, n * HOUR) == []
    changes = [(n.reason.name.lower(), n.receiver, n.seen.revision) for n in desk.notices]
    assert changes == [
        ("opened", "officer", 1),
        ("opened", "command", 1),
        ("lowered", "officer", 4),
        ("lowered", "command", 4),
        ("raised", "officer", 7),
        ("raised", "command", 7),
        ("lowered", "officer", 9),
        ("lowered", "command", 9),
    ]
    assert again.notices == desk.notices


VERSIONS = st.builds(
    lambda id_, state, severity, acted, planned, count: replace(
        FIRST,
        id=id_,
        state=state,
        severity=severity,
        acted=frozenset(acted),
        planned_event=planned,
        reopen_count=count,
        closed=state is S.RESOLVED and count % 2 == 0,
    ),
    st.sampled_from("ab"),
    st.sampled_from([S.OPEN, S.ACKNOWLEDGED, S.RESOLVED, S.RETRACTED, S.REOPENED, S.MERGED]),
    st.sampled_from(list(Severity)),
    st.sets(st.sampled_from(["acknowledge", "close"])),
    st.sampled_from(["", "", "match"]),
    st.integers(0, 2),
)


@examples(150)
@given(st.lists(st.tuples(st.integers(0, 40), VERSIONS), max_size=12), st.data())
def test_a_kill_between_any_two_steps_with_any_repetition_tells_the_same_and_no_id_twice(steps, data):
    log, minute = [], 0
    for number, (gap, seen) in enumerate(steps):
        minute += gap
        log.append((minute * MINUTE, replace(seen, revision=number + 1)))
    end_ms = (minute + 300) * MINUTE

    straight = Responder([PLAN])
    told = [n for at, seen in log for n in straight.take(seen, at)] + straight.advance(end_ms)
    assert len({n.id for n in told}) == len(told)

    # Killed after some records with a checkpoint of some records before: those in between are read again.
    saved = data.draw(st.integers(0, len(log)), "checkpoint")
    killed = data.draw(st.integers(saved, len(log)), "kill")
    first = Responder([PLAN])
    written = [n for at, seen in log[:saved] for n in first.take(seen, at)]
    cases: list[Case] = cases_in(checkpoint_of_cases(0, SavedCases(first.cases(), saved, 0))).cases
    written += [n for at, seen in log[saved:killed] for n in first.take(seen, at)]
    second = Responder([PLAN], cases)
    again = [n for at, seen in log[saved:] for n in second.take(seen, at)] + second.advance(end_ms)
    known = {n.id for n in written}
    assert written + [n for n in again if n.id not in known] == told


def test_of_an_incident_that_is_muted_nobody_is_told_until_it_is_not():
    desk = Desk()
    assert desk.see(0, muted=True) == []
    desk.restart()
    assert desk.wait(600) == [], "and no clock runs"
    assert desk.see(601, severity=Severity.SEVERE) == [("opened", "officer"), ("opened", "command")]
    assert desk.wait(602) == [("escalated acknowledge", "mayor")]


def test_what_was_never_told_ends_without_a_word():
    desk = Desk()
    assert desk.see(0, muted=True) == []
    assert desk.see(10, muted=True, state=S.RESOLVED) == []
    assert desk.see(20, muted=True, state=S.RETRACTED) == []


def test_who_was_told_before_it_was_muted_hears_of_its_end_and_the_clocks_begin_anew_if_it_goes_on():
    desk = Desk()
    assert desk.see(0) == [("opened", "officer")]
    assert desk.see(9, muted=True, severity=Severity.EXTREME) == []
    assert desk.wait(60) == []
    assert desk.see(61) == []
    assert desk.wait(70) == []
    assert desk.wait(71) == [("escalated acknowledge", "leader")]
    assert desk.see(80, muted=True, state=S.RESOLVED) == [("ended", "officer"), ("ended", "leader")]
