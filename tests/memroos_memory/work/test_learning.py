"""What is learned from what was said, and what is not: by rules, and by a model that may fail."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from tests.memroos_memory.work.conftest import SERVICE, VIEWER, Service, said

from memroos_contracts.memory_errors import ModelFailed
from memroos_contracts.memory_items import ItemChange
from memroos_contracts.memory_work import JobLabel, JobState
from memroos_memory import items, jobs, work
from memroos_memory.derive import Turn
from memroos_memory.items import Learned

Answer = Callable[[Sequence[Turn]], list[Learned]]


class Scripted:
    """A model that answers as the test says, call by call; the last answer stays."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []
        self.existing: list[Sequence[str]] = []

    async def extract(self, turns: Sequence[Turn], *, existing: Sequence[str] = ()) -> list[Learned]:
        """Answer."""
        self.asked.append([turn.id for turn in turns])
        self.existing.append(existing)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(turns)


def one_each(turns: Sequence[Turn]) -> list[Learned]:
    """What a good model finds: one fact of each turn."""
    return [Learned(text=f"{turn.speaker} said: {turn.text}", sources=(turn.id,)) for turn in turns]


def fails(_: Sequence[Turn]) -> list[Learned]:
    """What a model says that is away."""
    raise ModelFailed("The model does not answer.", reason="timeout")


def ask(service: Service, model: Scripted, times: int = 1, plan: jobs.Plan | None = None) -> None:
    worker = work.Worker(service.db, {JobLabel.EXTRACT: work.extracting(service.db, model)}, plan=plan)
    for _ in range(times):
        asyncio.run(worker.step([JobLabel.EXTRACT]))


def test_what_a_model_finds_is_kept_with_the_turns_it_comes_from(service: Service) -> None:
    service.take(said(1, "I moved here in May."), said(2, "The rent is high."), learn=JobLabel.EXTRACT)

    ask(service, Scripted(one_each))

    assert [(fact.text, fact.sources) for fact in service.facts()] == [
        ("Ann said: I moved here in May.", ("mem_00001",)),
        ("Ann said: The rent is high.", ("mem_00002",)),
    ]
    assert JobLabel.EMBED in service.labels()


def test_a_long_job_is_asked_about_in_parts_and_goes_on_where_the_model_failed(service: Service) -> None:
    service.take(*(said(n, f"This is turn number {n}.") for n in range(1, 21)), learn=JobLabel.EXTRACT)
    model = Scripted(one_each, fails, one_each)
    plan = jobs.Plan(attempts_max=3, backoff_s=0.0)

    ask(service, model, times=2, plan=plan)

    assert [len(asked) for asked in model.asked] == [16, 4, 4]
    assert len(service.facts()) == 20
    assert len(model.existing[-1]) == 16
    assert all(fact.seen_count == 1 for fact in service.facts())


def test_a_model_is_told_what_was_learned_just_before(service: Service) -> None:
    model = Scripted(one_each)
    for n, words in enumerate(("I moved here in May.", "The rent is high."), 1):
        service.take(said(n, words), learn=JobLabel.EXTRACT)
        ask(service, model)

    assert model.existing == [[], ["Ann said: I moved here in May."]]


def test_a_model_that_fails_loses_nothing_and_a_replay_learns_what_was_missed(service: Service) -> None:
    service.take(said(1, "I moved here in May."), learn=JobLabel.EXTRACT)
    plan = jobs.Plan(attempts_max=3, backoff_s=0.0)

    ask(service, Scripted(fails), times=5, plan=plan)

    (dead,) = service.db.read_now(SERVICE, jobs.list_jobs, VIEWER, state=JobState.DEAD).items
    assert (dead.label, dead.error) == (JobLabel.EXTRACT, "The model does not answer. (timeout)")
    assert [event.text for event in service.events()] == ["I moved here in May."]
    service.do([JobLabel.EMBED])
    assert service.vectors == 1

    service.db.write_now(SERVICE, jobs.replay, VIEWER, dead.id)
    ask(service, Scripted(one_each))
    assert [fact.sources for fact in service.facts()] == [("mem_00001",)]
    assert service.counts.dead == 0


@pytest.mark.parametrize("meanwhile", ["removed", "corrected"])
def test_what_is_removed_or_corrected_while_it_is_read_is_not_learned(service: Service, meanwhile: str) -> None:
    service.take(said(1, "My code is 1234 always."), said(2, "The rent is high."), learn=JobLabel.EXTRACT)

    def late(turns: Sequence[Turn]) -> list[Learned]:
        if meanwhile == "removed":
            service.run(items.delete, VIEWER, "mem_00001", "", "")
        else:
            service.run(items.update, VIEWER, "mem_00001", ItemChange(text="Never mind what I said."))
        both = tuple(turn.id for turn in turns)
        return [*one_each(turns), Learned(text="Ann has a code and a high rent", sources=both)]

    ask(service, Scripted(late))

    assert [fact.text for fact in service.facts()] == ["Ann said: The rent is high."]


def test_a_model_that_names_no_source_is_taken_to_speak_of_what_it_was_asked_about(service: Service) -> None:
    service.take(said(1, "I moved here in May."), said(2, "The rent is high."), learn=JobLabel.EXTRACT)

    ask(service, Scripted(lambda _: [Learned(text="Ann pays a high rent")]))

    assert [fact.sources for fact in service.facts()] == [("mem_00002",)]


def test_without_a_model_rules_do_what_was_left_for_it(service: Service) -> None:
    service.take(said(1, "I live in Oslo."), learn=JobLabel.EXTRACT)

    service.do([JobLabel.EXTRACT])

    assert service.counts.dead == 0
    assert JobLabel.EXTRACT not in service.labels()
    assert [fact.sources for fact in service.facts()] == [("mem_00001",)]
