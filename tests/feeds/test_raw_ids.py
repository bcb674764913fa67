"""Raw ids are hashed with a key of city and epoch as they are read, or refused; they are never seen again."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.core.kind import DAY_MS
from services.core.pseudonym import LEAST, ROTATION_DAYS, Pseudonyms, columns_of, take_digest
from services.feeds import access_log, paper_passages
from services.feeds.pseudonym_key import read_pseudonyms

SECRET = bytes(range(32))
RAW = "110105199003071234"
ACCESS = f"{','.join(access_log.COLUMNS)}\n2026-06-01T08:30:00+08:00,hall,3,1,in,granted,badge,29.7,116.0,{RAW}\n"
PAPER = f"{','.join(paper_passages.COLUMNS)}\n2026-06-01T08:30:00+08:00,gate-1,in,1,{RAW}\n"
TIME_MS = 1_780_273_800_000  # 2026-06-01T00:30Z
RUNNER = CliRunner()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "people.key"
    file.write_text(f"{SECRET.hex()}\n")
    return file


def by_hand(raw: str, city: str, time_ms: int, days: int = ROTATION_DAYS) -> str:
    """As services/feeds/README.md says it."""
    key = hmac.new(SECRET, f"person\x1f{city}\x1f{days}\x1f{time_ms // (days * DAY_MS)}".encode(), hashlib.sha256)
    return hmac.new(key.digest(), raw.encode(), hashlib.sha256).hexdigest()


def test_one_person_is_one_hash_within_a_city_and_an_epoch_and_nowhere_else():
    people = Pseudonyms(SECRET, "testville")
    assert people.digest(RAW, TIME_MS) == people.digest(f" {RAW}\n", TIME_MS) == by_hand(RAW, "testville", TIME_MS)
    begin_ms = people.epoch_of(TIME_MS) * ROTATION_DAYS * DAY_MS
    length_ms = ROTATION_DAYS * DAY_MS
    within = {people.digest(RAW, begin_ms + ms) for ms in (0, length_ms // 2, length_ms - 1)}
    others = {
        people.digest(RAW, begin_ms - 1),
        people.digest(RAW, begin_ms + length_ms),
        people.digest(RAW + "0", begin_ms),
        Pseudonyms(SECRET, "elsewhere").digest(RAW, begin_ms),
        Pseudonyms(SECRET[::-1], "testville").digest(RAW, begin_ms),
        Pseudonyms(SECRET, "testville", 7).digest(RAW, begin_ms),
    }
    assert (len(within), len(others), within & others) == (1, 6, set())


def test_a_hash_stays_what_it_is_and_nobody_stays_nobody():
    people, digest = Pseudonyms(SECRET, "testville"), "c0ffee" * 10 + "abcd"
    assert people.columns(digest, TIME_MS) == columns_of(digest) == take_digest(digest, TIME_MS)
    assert people.columns("", TIME_MS) == {}
    assert people.columns(RAW, TIME_MS) == columns_of(by_hand(RAW, "testville", TIME_MS))


def test_what_cannot_be_and_says_nothing_of_id_or_secret():
    people = Pseudonyms(SECRET, "testville")
    assert SECRET.hex() not in repr(people)
    assert repr(SECRET) not in repr(people)
    assert people.fingerprint != Pseudonyms(SECRET[::-1], "testville").fingerprint
    for raw in ("7" * 257, "  "):
        with pytest.raises(ValueError, match="1 to 256 characters") as refused:
            people.digest(raw, TIME_MS)
        assert "777" not in str(refused.value)
    with pytest.raises(ValueError, match="32 bytes or more, not 31"):
        Pseudonyms(SECRET[:-1], "testville")
    with pytest.raises(ValueError, match="a day or more"):
        Pseudonyms(SECRET, "testville", 0)


@pytest.mark.parametrize("held", ["", "no secret at all", SECRET.hex()[:-1], SECRET.hex()[:-2]])
def test_a_file_without_a_secret_is_refused_and_not_repeated(tmp_path: Path, held: str):
    file = tmp_path / "people.key"
    file.write_text(held)
    with pytest.raises(ValueError, match=r"people\.key.*32 bytes or more") as refused:
        read_pseudonyms(file, "testville")
    assert not held or held not in str(refused.value)


@pytest.mark.parametrize(("feed", "log"), [(access_log, ACCESS), (paper_passages, PAPER)])
def test_a_feed_hashes_where_it_has_a_key_and_refuses_where_it_has_none(feed, log, key: Path, tmp_path: Path, capsys):
    file = tmp_path / "log.csv"
    file.write_text(log)
    assert feed.main([str(file), "--city", "testville"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "a raw id is not taken" in told.err
    assert feed.main([str(file), "--city", "testville", "--pseudonym-key-file", str(key)]) == 0
    hashed = capsys.readouterr()
    (row,) = [json.loads(line) for line in hashed.out.splitlines()]
    assert row["person_a"] == LEAST + int(by_hand(RAW, "testville", TIME_MS)[:13], 16)
    assert RAW not in told.err + hashed.out + hashed.err


@pytest.mark.parametrize(
    ("kind", "form", "log"),
    [("security.credential_event", "access-log", ACCESS), ("community.passage", "paper", PAPER)],
)
def test_a_replay_hashes_where_it_has_a_key_and_refuses_where_it_has_none(kind, form, log, key: Path, tmp_path: Path):
    file, errors = tmp_path / "log.csv", tmp_path / "errors.jsonl"
    file.write_text(log)
    command = ["replay", kind, str(file), "--format", form, "--city", "testville", "--dry-run", "--errors", str(errors)]
    refused = RUNNER.invoke(app, command)
    assert refused.exit_code == 1
    taken = RUNNER.invoke(app, [*command, "--pseudonym-key-file", str(key)])
    assert taken.exit_code == 0, taken.output
    named = RUNNER.invoke(app, command, env={"URBAN_PSEUDONYM_KEY_FILE": str(key)})
    assert named.exit_code == 0, named.output
    wrong = RUNNER.invoke(app, [*command, "--pseudonym-key-file", str(file)])
    assert wrong.exit_code == 1
    assert "32 bytes or more" in wrong.output
    assert RAW not in refused.output + taken.output + named.output + wrong.output + errors.read_text()


def test_the_command_hashes_what_an_import_hashes(key: Path):
    command = ["pseudonym", "--city", "testville", "--time", "2026-06-01T08:30:00+08:00"]
    told = RUNNER.invoke(app, [*command, "--pseudonym-key-file", str(key)], input=f"{RAW}\n")
    assert (told.exit_code, told.output) == (0, by_hand(RAW, "testville", TIME_MS) + "\n")
    assert RUNNER.invoke(app, command, input=RAW).exit_code == 1
    bad = RUNNER.invoke(app, [*command, "--pseudonym-key-file", str(key)], input="7" * 300)
    assert (bad.exit_code, "777" in bad.output) == (1, False)
