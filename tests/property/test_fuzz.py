"""A little of `make fuzz` in every run: the same inputs each time, and some that hypothesis thinks of."""

import re
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from click.testing import Result
from fuzz import __main__ as command_line
from fuzz import blind
from fuzz.mutation import MAX_INPUT_BYTES, mutate
from fuzz.script import Script, block, spoil
from fuzz.targets import NAMES, Target, load_target
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

EXECUTIONS = {"session": 60, "loss": 60, "dtls": 150, "arrivals": 150, "reorder": 100, "rtmp_chunk": 300}
"""Of the slow ones; the others do `MANY`."""
MANY = 500
SLOW = ("session", "loss", "dtls")


@pytest.fixture(scope="module", params=NAMES)
def target(request: pytest.FixtureRequest) -> Target:
    return load_target(request.param)


def test_the_seeds_are_accepted(target):
    seeds = target.seeds()
    assert seeds
    assert [index for index, seed in enumerate(seeds) if not target.run(seed)] == []


def test_mutants_of_the_seeds(target):
    for _ in islice(blind.fuzz(target, seed=1), EXECUTIONS.get(target.name, MANY)):
        pass


@pytest.mark.parametrize("name", NAMES)
def test_anything(name):
    target = load_target(name)

    @settings(deadline=None, max_examples=20 if name in SLOW else 60, database=None, derandomize=True)
    @given(st.binary(max_size=300))
    def run(data: bytes) -> None:
        target.run(data)

    run()


# The fuzzer itself


def target_of(*forbidden: bytes) -> Target:
    def run(data: bytes) -> bool:
        assert not any(bad in data for bad in forbidden)
        return data.startswith(b"s")

    return Target("example", run, lambda: [b"seed one", b"another"])


def test_it_finds_what_is_wrong_and_finds_it_again():
    found = []
    for _ in range(2):
        with pytest.raises(blind.Violation) as caught:
            for _ in islice(blind.fuzz(target_of(b"\xff\xff"), seed=3), 10_000):
                pass
        found.append(caught.value.data)
    assert b"\xff\xff" in found[0]
    assert found[0] == found[1]
    assert isinstance(caught.value.__cause__, AssertionError)


def test_what_does_not_end_is_wrong_too(monkeypatch):
    def run(data: bytes) -> bool:
        while True:
            pass

    monkeypatch.setattr(blind, "MAX_CPU_SECONDS", 0.05)
    with pytest.raises(blind.Violation) as caught:
        blind.execute(Target("example", run, lambda: [b""]), b"")
    assert isinstance(caught.value.__cause__, blind.TooSlow)


def inputs(seed: int) -> list[bytes]:
    seen: list[bytes] = []
    spy = Target("example", lambda data: bool(seen.append(data)), lambda: [b"some seed"])
    for _ in islice(blind.fuzz(spy, seed), 50):
        pass
    return seen


def test_another_seed_is_another_run():
    assert inputs(1) == inputs(1) != inputs(2)
    assert inputs(1)[0] == inputs(2)[0] == b"some seed"


def test_accepted_mutants_become_parents_up_to_a_bound():
    *_, progress = islice(blind.fuzz(target_of(), seed=1), 3000)
    assert progress == (3000, blind.MAX_PARENTS)


def test_mutants_are_many_and_bounded():
    random = Random(1)
    mutants = {mutate(random, [b"", b"a parent" * 500]) for _ in range(2000)}
    assert len(mutants) > 1000
    assert max(map(len, mutants)) <= MAX_INPUT_BYTES


def test_any_bytes_are_a_script():
    script = Script(b"\x07" + block(b"abc") + b"\x00\x09rest")
    assert (script.number(), script.block(), bool(script)) == (7, b"abc", True)
    assert (script.block(), bool(script)) == (b"rest", False)
    assert (script.number(2), script.choose(3), script.block(), script.rest()) == (0, 0, b"", b"")


def test_spoiling():
    assert spoil(b"abc", Script(b"\x00\x01\x20\x00\x00")) == b"aBc"
    assert spoil(b"abc", Script(b"\x00\x00\x00\x00\x02")) == b"ab"
    assert spoil(b"", Script(b"\x00\x00\x01\x00\x00")) == b""


# The command line


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(command_line.app, [str(argument) for argument in arguments])


@pytest.fixture
def crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command_line, "CRASHES", tmp_path / "crashes")
    return tmp_path / "crashes"


def test_a_short_run(crashes):
    result = invoke("opus", "--unguided", "--seconds", 0.1)
    assert result.exit_code == 0
    assert re.match(r"opus .* executions .* /s +corpus +\d+\n", result.stdout)
    assert not crashes.exists()


def test_a_violation_is_kept_and_can_be_repeated(crashes, monkeypatch):
    monkeypatch.setattr(command_line, "load_target", lambda name: target_of(b"\xff\xff"))
    result = invoke("opus", "--unguided")
    assert result.exit_code == 1
    assert result.stdout.endswith("Broken: opus\n")
    [crash] = crashes.iterdir()
    assert crash.name.startswith("opus-")
    assert f"python -m fuzz opus --input {crash}" in result.stdout
    assert invoke("opus", "--input", crash).exit_code == 1
    crash.write_bytes(b"s and no harm")
    again = invoke("opus", "--input", crash)
    assert (again.exit_code, again.stdout) == (0, "opus: keeps its promise, the input was accepted\n")


def test_an_unknown_target():
    result = invoke("opal")
    assert result.exit_code == 2
    assert "opal" in result.output
