"""Mistakes are planted where they matter, noticed or not, and known again when they are accepted."""

from pathlib import Path, PurePath
from textwrap import dedent

import pytest

from dev.mutants.__main__ import ROOT, accepted_in, mutants_of, report, survivors_of, witnesses_in
from dev.mutants.planting import edits

HALL = '''\
"""Seats from 1 to 9."""

def is_full(taken: int, seats: int) -> bool:
    """More than 3 are many."""
    logger.info("asked", seats=3)
    return taken >= seats
'''


def planted(name: str, source: str) -> set[str]:
    return {edit.applied_to(source) for edit in edits(PurePath(name), source)}


@pytest.mark.parametrize(
    ("name", "source", "mistakes"),
    [
        ("a.py", "is_over = now < until", {"is_over = now <= until"}),
        ("a.py", "is_ours = mine and yours", {"is_ours = mine or yours"}),
        ("a.py", "CLAIM = timedelta(seconds=20)", {"CLAIM = timedelta(seconds=10)"}),
        ("a.py", "forget(ids)", {"pass"}),
        ("a.py", "if not rows:\n    raise Gone", {"if bool(rows):\n    raise Gone"}),
        ("a.py", "end(slot=a.slot, at=a.at)", {"end(slot=a.at, at=a.slot)"}),
        ("a.py", "found = rows.filter(a=1, b=2)", {"found = rows.filter(b=2)"}),
        ("a.py", "room = rooms.lock().get(pk=pk)", {"room = rooms.get(pk=pk)"}),
        ("a.py", 'X = "SELECT 1 FROM a LIMIT 5"', {'X = "SELECT 1 FROM a "'}),
        (
            "a.sql",
            "SELECT a FROM b WHERE c = 'x' AND d",
            {"SELECT a FROM b WHERE c = 'x' AND TRUE"},
        ),
        ("a.sql", "SELECT a FROM b FOR UPDATE SKIP LOCKED", {"SELECT a FROM b FOR UPDATE"}),
        ("a.sql", "SELECT claim.price FROM seat", {"SELECT seat.price FROM seat"}),
        ("a.sql", "UPDATE a SET b = 'x', c = d", {"UPDATE a SET b = 'x'", "UPDATE a SET c = d"}),
        ("a.sql", "SELECT a FROM b ORDER BY c", {"SELECT a FROM b ORDER BY c DESC"}),
        ("a.lua", "local wait = math.max(a, b)", {"local wait = math.min(a, b)"}),
        ("a.lua", "if is_closed() then", {"if not (is_closed()) then"}),
        ("a.lua", "redis.call('HDEL', ROOM, 'x')\n", {"\n"}),
        ("a.lua", "if a == 'x' then -- and b", {"if a ~= 'x' then -- and b"}),
    ],
)
def test_plausible_mistakes_are_planted(name: str, source: str, mistakes: set[str]) -> None:
    assert planted(name, source) >= mistakes


def test_words_for_people_are_left_alone() -> None:
    assert planted("hall.py", HALL) == {HALL.replace(">=", ">")}


def test_what_no_test_notices_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    files = {
        "hall.py": """
            def is_full(taken, seats):
                return taken >= seats

            def is_empty(taken):
                return taken == 0

            def price(seats):
                return seats * 20
        """,
        "test_hall.py": """
            from hall import is_empty, is_full, price

            def test_hall():
                assert is_full(3, 3)
                assert is_empty(0) and price(0) == 0
        """,
        "dev/mutants/tests.toml": """
            beside = [{ code = ["hall.py"], tests = ["test_hall.py"] }]
        """,
        "dev/mutants/accepted.toml": """
            [[accepted]]
            path = "hall.py"
            mutants = ["return seats * 20 => return seats / 20"]
            reason = "An example."
        """,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(dedent(text))
    mutants = mutants_of(tmp_path, list(witnesses_in(tmp_path)))

    survivors = survivors_of(tmp_path, mutants, "postgresql://127.0.0.1:1/none", jobs=2)

    assert [mutant.shown for mutant in survivors] == ["return seats * 20 => return seats * 10"]
    assert report(mutants, survivors) == 0.75
    assert "3 of     4   75%  hall.py" in capsys.readouterr().out
    assert (tmp_path / "hall.py").read_text() == dedent(files["hall.py"])


def test_tests_that_fail_without_a_mistake_are_no_witnesses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    (tmp_path / "dev/mutants").mkdir(parents=True)
    (tmp_path / "dev/mutants/tests.toml").write_text(
        'beside = [{ code = ["a.py"], tests = ["test_a.py"] }]'
    )
    (tmp_path / "dev/mutants/accepted.toml").touch()
    (tmp_path / "a.py").write_text("A = 1\n")
    (tmp_path / "test_a.py").write_text("def test_a():\n    assert False\n")

    with pytest.raises(SystemExit, match="1 failed"):
        survivors_of(tmp_path, mutants_of(tmp_path, ["a.py"]), "postgresql://127.0.0.1:1/x", 1)


def test_every_file_in_the_table_has_tests_that_exist() -> None:
    table = witnesses_in(ROOT)

    assert len(table) > 60
    assert all((ROOT / test).exists() for tests in table.values() for test in tests)


def test_what_is_accepted_is_still_there() -> None:
    sources = {path: (ROOT / path).read_text() for path in witnesses_in(ROOT)}
    possible = {
        (path, edit.shown(source))
        for path, source in sources.items()
        for edit in edits(PurePath(path), source)
    }

    assert accepted_in(ROOT) - possible == set()
