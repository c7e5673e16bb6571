"""Extraction by a model over real HTTP, whatever the model does."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.memroos_memory.scripted_model import Mode, ScriptedModel, scripted_model

from memroos_contracts.memory_errors import ModelFailed
from memroos_contracts.memory_items import ItemKind, Triple
from memroos_kit.settings import Secret
from memroos_memory.derive import Extractor, Turn
from memroos_memory.items import Learned
from memroos_memory.settings import MemorySettings

AT = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
KEY = "sk-test-0123456789"


def turn(number: int, text: str, speaker: str = "Ann") -> Turn:
    return Turn(id=f"mem_{number}", text=text, speaker=speaker, occurred_at=AT)


TURNS = (turn(1, "The rent is too high"), turn(2, "Winter came early", "Bob"))


def settings(model: ScriptedModel, folder: Path) -> MemorySettings:
    return MemorySettings(
        data_dir=folder, model="scripted", model_url=model.url, model_key=Secret(KEY), model_timeout_s=0.3
    )


def ask(
    model: ScriptedModel, folder: Path, turns: Sequence[Turn] = TURNS, existing: Sequence[str] = ()
) -> list[Learned]:
    async def once() -> list[Learned]:
        extractor = Extractor(settings(model, folder))
        try:
            return await extractor.extract(turns, existing=existing)
        finally:
            await extractor.close()

    return asyncio.run(once())


@contextmanager
def answering(content: str) -> Iterator[ScriptedModel]:
    """Run a model that always says the same."""
    with scripted_model() as model:
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        completion = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        model.always = (200, json.dumps(completion).encode())
        yield model


def test_what_the_model_finds_comes_with_the_turns_it_rests_on(tmp_path: Path) -> None:
    with scripted_model() as model:
        found = ask(model, tmp_path)

    assert [(one.text, one.sources, one.kind) for one in found] == [
        ("Ann said: The rent is too high", ("mem_1",), ItemKind.FACT),
        ("Bob said: Winter came early", ("mem_2",), ItemKind.FACT),
    ]
    assert model.keys == {f"Bearer {KEY}"}


def test_the_model_is_told_who_said_what_when_and_what_is_known(tmp_path: Path) -> None:
    with scripted_model() as model:
        ask(model, tmp_path, existing=["Ann lives in Oslo"])

    (request,) = model.requests
    prompt = request["messages"][-1]["content"]
    assert request["model"] == "scripted"
    assert "[1] 2023-05-08 13:56 Ann: The rent is too high" in prompt
    assert "[2] 2023-05-08 13:56 Bob: Winter came early" in prompt
    assert "Ann lives in Oslo" in prompt


@pytest.mark.parametrize(
    "mode",
    [Mode.FAILS, Mode.SILENT, Mode.HANGS_UP, Mode.MALFORMED, Mode.WRONG_SCHEMA, Mode.WRONG_ITEMS, Mode.BLANK,
     Mode.NO_CHOICES],
)  # fmt: skip
def test_no_usable_answer_is_a_failure_and_asked_once(tmp_path: Path, mode: Mode) -> None:
    with scripted_model(mode) as model, pytest.raises(ModelFailed) as failed:
        ask(model, tmp_path)

    assert model.calls == 1
    assert failed.value.facts["reason"]
    assert len(str(failed.value)) < 400


def test_nothing_to_remember_is_an_answer(tmp_path: Path) -> None:
    with scripted_model(Mode.NOTHING) as model:
        assert ask(model, tmp_path) == []


def test_nobody_is_asked_about_nothing(tmp_path: Path) -> None:
    with scripted_model() as model:
        assert ask(model, tmp_path, [turn(1, "  ")]) == []
        assert ask(model, tmp_path, []) == []

    assert model.calls == 0


def test_an_endpoint_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with scripted_model() as model:
        pass

    with pytest.raises(ModelFailed):
        ask(model, tmp_path)


def test_an_answer_that_is_cut_off_is_asked_for_in_halves(tmp_path: Path) -> None:
    turns = [turn(number, f"Number {number} is odd") for number in range(1, 5)]

    with scripted_model(Mode.TRUNCATED) as model:
        found = ask(model, tmp_path, turns)

    assert [one.sources for one in found] == [("mem_1",), ("mem_2",), ("mem_3",), ("mem_4",)]
    assert model.calls == 7


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_fails_at_random_answers_in_the_end_and_the_same(tmp_path: Path, seed: int) -> None:
    async def until_it_answers() -> list[Learned]:
        extractor = Extractor(settings(model, tmp_path))
        for _ in range(50):
            try:
                return await extractor.extract(TURNS)
            except ModelFailed:
                continue
            finally:
                await asyncio.sleep(0)
        raise AssertionError("it never answered")

    with scripted_model(Mode.FLAKY, seed=seed, fail_rate=0.7) as model:
        found = asyncio.run(until_it_answers())

    assert [one.sources for one in found] == [("mem_1",), ("mem_2",)]
    assert model.calls == model.failures + 1


def test_a_model_that_names_no_turns_is_taken_to_mean_those_that_share_its_words(tmp_path: Path) -> None:
    with answering(json.dumps({"memory": [{"text": "Winter was early this year"}, {"text": "Unrelated"}]})) as model:
        found = ask(model, tmp_path)

    assert [one.sources for one in found] == [("mem_2",), ("mem_1", "mem_2")]
    assert found[0].confidence > found[1].confidence


@pytest.mark.parametrize("turns", [[0, 3, 99, -1], "1", [[1]], None, ["1"]])
def test_turns_that_do_not_exist_are_no_sources(tmp_path: Path, turns: Any) -> None:
    with answering(json.dumps({"memory": [{"text": "Winter was early", "turns": turns}]})) as model:
        try:
            found = ask(model, tmp_path)
        except ModelFailed:
            assert not isinstance(turns, list)
        else:
            assert [one.sources for one in found] == [("mem_2",)]


@pytest.mark.parametrize(
    "content",
    ['```json\n{"memory": [{"text": "Ann is tired"}]}\n```', 'Sure: {"memory": [{"text": "Ann is tired"}]} Done.',
     '<think>{"x"</think>{"memory": [{"text": "Ann is tired", "attributed_to": "user"}]}'],
)  # fmt: skip
def test_words_around_a_good_answer_do_no_harm(tmp_path: Path, content: str) -> None:
    with answering(content) as model:
        assert [one.text for one in ask(model, tmp_path)] == ["Ann is tired"]


@pytest.mark.parametrize(
    "content",
    ["null", "[]", "5", '{"memory": null}', '{"memory": {}}', '{"memory": ["text"]}', '{"memory": [{"text": ""}]}',
     '{"memory": [{"text": "  "}]}', "[" * 50_000, '{"a":' * 50_000,
     "<think>" * 30_000, "```" + " " * 30_000 + "x", "{" * 100_000 + "}", "{}",
     '{"memory": [{"text": "' + "a" * 2_001 + '"}]}'],
    ids=lambda content: content[:24],
)  # fmt: skip
def test_nonsense_is_a_failure(tmp_path: Path, content: str) -> None:
    with answering(content) as model, pytest.raises(ModelFailed):
        ask(model, tmp_path)


def test_what_rules_understand_of_a_memory_can_be_compared(tmp_path: Path) -> None:
    memories = [
        {"text": "Ann moved to Munich in May 2022", "turns": [1]},
        {"text": "User lives in Oslo", "turns": [2]},
        {"text": "I live in Rome", "turns": [1]},
    ]
    with answering(json.dumps({"memory": memories})) as model:
        munich, oslo, rome = ask(model, tmp_path)

    assert (munich.triple, munich.kind, munich.functional) == (
        Triple("Ann", "lives_in", "Munich"),
        ItemKind.STATE,
        True,
    )
    assert munich.valid_from == datetime(2022, 5, 1, tzinfo=UTC)
    assert (oslo.text, oslo.triple) == ("Bob lives in Oslo", Triple("Bob", "lives_in", "Oslo"))
    assert (rome.triple, rome.kind) == (None, ItemKind.FACT)


def test_what_is_known_is_not_learned_again(tmp_path: Path) -> None:
    with answering(json.dumps({"memory": [{"text": "Ann is tired"}, {"text": "Bob is cold"}]})) as model:
        found = ask(model, tmp_path, existing=["Ann is tired"])

    assert [one.text for one in found] == ["Bob is cold"]


def test_the_key_is_not_in_the_reason(tmp_path: Path) -> None:
    with scripted_model() as model:
        model.always = (401, json.dumps({"error": {"message": f"Incorrect key {KEY}"}}).encode())
        with pytest.raises(ModelFailed) as failed:
            ask(model, tmp_path)

    assert KEY not in str(failed.value)
    assert KEY not in str(failed.value.facts)


def test_nobody_but_the_endpoint_is_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[Any] = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connecting(self: socket.socket, to: Any) -> None:
        reached.append(to[:2])
        connect(self, to)

    def resolving(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        reached.append((host, port))
        return resolve(host, port, *more, **named)

    monkeypatch.setattr(socket.socket, "connect", connecting)
    monkeypatch.setattr(socket, "getaddrinfo", resolving)

    with scripted_model() as model:
        # An address and a key that a shell may hold would send everything there.
        monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-of-somebody")
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.2:9/v1")
        found = ask(model, tmp_path)

    assert len(found) == 2
    assert {tuple(one) for one in reached} == {("127.0.0.1", model.port)}
    assert model.keys == {f"Bearer {KEY}"}
    assert not [thread.name for thread in threading.enumerate() if "posthog" in thread.name.lower()]


def test_questions_may_be_open_at_the_same_time(tmp_path: Path) -> None:
    async def both() -> list[list[Learned]]:
        extractor = Extractor(settings(model, tmp_path))
        try:
            return await asyncio.gather(*(extractor.extract([turn(n, f"Number {n} is odd")]) for n in range(1, 9)))
        finally:
            await extractor.close()

    with scripted_model() as model:
        found = asyncio.run(both())

    assert [[one.sources for one in part] for part in found] == [[(f"mem_{n}",)] for n in range(1, 9)]
