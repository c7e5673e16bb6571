"""From the question to the answer and back into memory: what recall handed out is not learned a second time."""

import asyncio

from tests.memroos_memory.work.conftest import AGENT, Service, said

from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory import RecallQuery, RecallRequest
from memroos_memory.echo import EchoMarks
from memroos_memory.lexical import Postings
from memroos_memory.recall import Recall

ROME = "Since last winter I live in Rome. My cousin Paola has shown me the old harbour of Ostia twice."


def ask(service: Service, marks: EchoMarks, question: str, *, principal: str = AGENT) -> list[str]:
    recall = Recall(service.db, Postings(), service.embedder, service.index, service.graph, marks)
    query = RecallQuery(DEFAULT_WORKSPACE, AGENT, RecallRequest(question, floor=False), principal=principal)
    result = asyncio.run(recall.recall(query))
    return [hit.item.text or "" for hit in result.items]


def test_what_recall_gave_to_somebody_comes_back_from_them_as_an_echo(service: Service) -> None:
    marks = EchoMarks(service.db)
    service.take(said(1, ROME), echo=marks)
    service.do()
    (fact,) = service.facts()

    (given,) = ask(service, marks, "Who has shown the harbour of Ostia?")
    service.take(said(2, f"According to my memory: {given}"), echo=marks)
    service.do()

    assert [event.echo for event in service.events()] == [False, True]
    assert service.facts() == [fact]


def test_who_says_the_same_without_having_been_told_is_believed(service: Service) -> None:
    marks = EchoMarks(service.db)
    service.take(said(1, ROME), echo=marks)
    service.do()

    ask(service, marks, "Who has shown the harbour of Ostia?", principal="operator:key_1")
    service.take(said(2, f"As I said: {ROME}"), echo=marks)
    service.do()

    assert [event.echo for event in service.events()] == [False, False]
    assert service.facts()[0].seen_count == 2
