import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.memroos_memory.recall.conftest import AGENT, Asked, minutes
from tests.memroos_memory.recall.corpora import GARDEN, SERVERS, TRAVEL

from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory import Arm, RecallResult, Removal
from memroos_contracts.memory_errors import EmbedderFailed, FilterRefused, IndexUnavailable, WrongDimension
from memroos_contracts.memory_filters import Eq
from memroos_contracts.memory_items import ItemChange, ItemKind, Triple, Viewer
from memroos_kit.clock import ManualClock
from memroos_kit.db import Tx
from memroos_memory import items
from memroos_memory.actor import SERVICE
from memroos_memory.items.log import digest_of
from memroos_memory.lexical import Postings
from memroos_memory.recall import Recall, dense
from memroos_memory.vectors import stored

POTATOES = "How many potatoes were harvested?"


@pytest.fixture
def garden(memory: Asked) -> Asked:
    memory.hear(GARDEN)
    return memory


def test_what_answers_comes_first_and_says_in_which_words(garden: Asked) -> None:
    first = garden.ask(POTATOES).items[0]

    assert first.item.text == "We harvested eleven kilos of potatoes from the north bed."
    assert set(first.lexical) == {"potato", "harvest"}
    assert first.snippet == first.item.text
    assert first.sources == (first.item.id,)


def test_a_paraphrase_without_a_common_word_is_found_by_its_vector(garden: Asked) -> None:
    found = garden.ask("Which insects could be dangerous for Paul?", explain=True, floor=False).items[0]

    assert found.item.text is not None
    assert "wasp" in found.item.text
    assert found.arms[Arm.VECTOR].rank == 1


def test_the_parts_that_are_explained_add_up_to_the_score(garden: Asked) -> None:
    for hit in garden.ask("What did Ruth harvest on 1 January 2026, and lately?", explain=True).items:
        assert sum(part.part for part in hit.arms.values()) == pytest.approx(hit.score, abs=1e-3)
    assert not garden.ask(POTATOES).items[0].arms


def test_arms_that_are_not_asked_say_nothing(garden: Asked) -> None:
    assert garden.ask(POTATOES).arms == (Arm.LEXICAL, Arm.VECTOR)
    assert Arm.RECENCY in garden.ask("What is the latest about the tomatoes?").arms
    assert Arm.TEMPORAL in garden.ask("What did we harvest yesterday?").arms


def test_the_latest_comes_first_where_the_latest_is_asked_for(memory: Asked) -> None:
    said = [("Ann", "The weekly report is ready.") for _ in range(4)]
    ids = [memory.hear([turn], at=minutes(90 * at), stream=f"s{at}")[0] for at, turn in enumerate(said)]

    assert memory.ids("What is the latest weekly report?")[0] == ids[3]
    assert memory.ids("Which weekly report is ready?")[0] == ids[0]


def test_what_happened_then_comes_first_where_the_question_names_a_time(memory: Asked) -> None:
    for day in range(1, 6):
        memory.hear([("Ann", "We went swimming.")], at=minutes(1_440 * day), stream=f"day {day}")

    found = memory.ask("Did we go swimming yesterday?", reference_time=minutes(1_440 * 4 + 60)).items

    assert found[0].item.occurred_at == minutes(1_440 * 3)


def test_neighbours_are_given_where_they_are_asked_for(garden: Asked) -> None:
    found = garden.ask(POTATOES, window=1).items[0]

    texts = [item.text for item in found.neighbours]
    assert texts == [GARDEN[5][1], GARDEN[7][1]]


def test_what_says_the_same_is_put_back_where_diversity_is_asked_for(memory: Asked) -> None:
    memory.hear([("Ann", "Lunch is at noon."), ("Ann", "Lunch is at noon!"), ("Bob", "For lunch there is soup.")])

    assert [hit.item.text for hit in memory.ask("When is lunch?", diversity=0.8).items][1] == "For lunch there is soup."


def test_nobody_finds_what_belongs_to_others_and_it_changes_no_score(garden: Asked) -> None:
    alone = garden.ask(POTATOES)
    garden.hear([("Eve", "Potatoes, potatoes, harvested potatoes.")] * 5, reader="agent:agt_b")
    garden.hear([("Eve", "How many potatoes were harvested? Eleven.")], workspace="another")

    beside = garden.ask(POTATOES)

    assert [(hit.item.id, hit.score) for hit in beside.items] == [(hit.item.id, hit.score) for hit in alone.items]
    assert beside.documents == len(GARDEN)
    assert garden.ids(POTATOES, reader="agent:agt_nobody") == []


def test_those_who_run_the_workspace_ask_all_scopes_together(garden: Asked) -> None:
    garden.hear(SERVERS, reader="agent:agt_b")

    assert garden.ask(POTATOES, reader="").items[0].item.text == GARDEN[6][1]
    assert garden.ask("When do the certificates expire?", reader="").items[0].item.text == SERVERS[2][1]


def test_a_user_narrows_to_what_is_about_them(garden: Asked) -> None:
    garden.hear(TRAVEL, user_id="lena")

    assert garden.ids(POTATOES, user_id="lena", floor=False)
    assert garden.ask("Is Lena vegetarian?", user_id="lena").documents == len(TRAVEL)
    assert garden.ids(POTATOES, user_id="nobody") == []


@pytest.mark.parametrize(
    ("narrowing", "left"),
    [
        ({"filter": Eq(field="speaker", value="Paul")}, "Paul"),
        ({"author": AGENT, "filter": Eq(field="speaker", value="Ruth")}, "Ruth"),
        ({"known_at": minutes(60), "filter": Eq(field="speaker", value="Ruth")}, "Ruth"),
    ],
)
def test_a_filter_narrows_and_leaves_the_scores_as_they_are(
    garden: Asked, narrowing: dict[str, Any], left: str
) -> None:
    whole = {hit.item.id: hit.lexical for hit in garden.ask(POTATOES, limit=50, floor=False).items}
    found = garden.ask(POTATOES, limit=50, floor=False, **narrowing).items

    assert {hit.item.speaker for hit in found} == {left}
    assert len(found) == sum(1 for speaker, _ in GARDEN if speaker == left)
    assert all(whole[hit.item.id] == hit.lexical for hit in found)


@pytest.mark.parametrize("narrowing", [{}, {"known_at": minutes(60)}])
def test_a_filter_that_names_an_owner_is_refused(garden: Asked, narrowing: dict[str, Any]) -> None:
    with pytest.raises(FilterRefused):
        garden.ask(POTATOES, filter=Eq(field="user_id", value="eve"), **narrowing)


def test_times_and_streams_narrow(garden: Asked, clock: ManualClock) -> None:
    assert garden.ids(POTATOES, until=minutes(0), floor=False) == []
    assert garden.ids(POTATOES, since=clock.now(), floor=False) == [f"mem_{len(GARDEN):06}"]
    assert garden.ids(POTATOES, stream="elsewhere", floor=False) == []
    assert garden.ids(POTATOES, known_at=minutes(-1), floor=False) == []


def test_a_vector_that_is_given_is_not_made_again(garden: Asked) -> None:
    (vector,) = asyncio.run(garden.embedder.embed([POTATOES]))
    expected = garden.ids(POTATOES)

    class Never:
        identity = garden.embedder.identity
        dimension = garden.embedder.dimension

        async def embed(self, texts: Sequence[str]) -> Any:
            raise AssertionError(texts)

        def close(self) -> None: ...

    garden.embedder = Never()

    assert garden.ids(POTATOES, recall=garden.anew(), vector=tuple(vector.tolist())) == expected


def test_a_vector_of_another_length_is_refused(garden: Asked) -> None:
    with pytest.raises(WrongDimension):
        garden.ask(POTATOES, vector=(1.0, 0.0))


def test_without_an_embedder_words_answer_and_the_answer_says_so(garden: Asked) -> None:
    class Away:
        identity = garden.embedder.identity
        dimension = garden.embedder.dimension

        async def embed(self, texts: Sequence[str]) -> Any:
            raise EmbedderFailed(reason="away")

        def close(self) -> None: ...

    garden.embedder = Away()
    found = garden.ask(POTATOES, recall=garden.anew())

    assert found.items[0].item.text == GARDEN[6][1]
    assert (found.arms, found.missing) == ((Arm.LEXICAL,), (Arm.VECTOR,))
    assert found.detail


def test_without_an_index_a_large_memory_answers_by_words_and_stored_vectors(
    garden: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "EXACT", 4)

    async def away(*_: Any) -> Any:
        raise IndexUnavailable(index="vector")

    monkeypatch.setattr(garden.index, "search", away)
    found = garden.ask(POTATOES)

    assert found.items[0].item.text == GARDEN[6][1]
    assert found.missing == (Arm.VECTOR,)


def test_a_large_memory_is_answered_by_what_the_arms_propose(garden: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = garden.ids(POTATOES, limit=3)
    monkeypatch.setattr(dense, "EXACT", 8)
    monkeypatch.setattr(dense, "SAMPLE", 8)

    assert garden.ids(POTATOES, limit=3, recall=garden.anew())[0] == whole[0]
    assert garden.ids("Which flowers help against whitefly?", recall=garden.anew())[0] == "mem_000011"


def test_after_a_restart_the_answers_are_the_same(garden: Asked) -> None:
    before = [(hit.item.id, hit.score) for hit in garden.ask(POTATOES).items]

    assert [(hit.item.id, hit.score) for hit in garden.ask(POTATOES, recall=garden.anew()).items] == before


def test_a_text_that_changes_is_compared_by_its_own_vector_whatever_was_forgotten_meanwhile(garden: Asked) -> None:
    postings = Postings()
    recall = Recall(garden.db, postings, garden.embedder, garden.index, garden.graph, garden.echo)
    garden.ask(POTATOES, recall=recall)
    said = "The kitchen was painted blue."
    (vector,) = asyncio.run(garden.embedder.embed([said]))

    def change(tx: Tx) -> None:
        row = stored.find_embedder(tx, garden.embedder.identity)
        assert row is not None
        items.update(tx, Viewer(DEFAULT_WORKSPACE, AGENT), "mem_000007", ItemChange(text=said))
        stored.put(tx, row.seq, [(7, digest_of(said), vector)])

    garden.db.write_now(SERVICE, change)
    postings.forget()  # as where many scopes are asked, and memory is short

    found = garden.ask(POTATOES, recall=recall, floor=False, explain=True)
    assert found == garden.ask(POTATOES, recall=garden.anew(), floor=False, explain=True)


def test_what_was_said_since_the_last_question_is_found_and_what_was_removed_is_not(garden: Asked) -> None:
    garden.ask(POTATOES)
    (new,) = garden.hear([("Ruth", "We harvested nine more kilos of potatoes, new ones.")])

    assert new in garden.ids(POTATOES)[:2]

    removal = Removal(new, garden.ask(POTATOES).items[0].item.workspace_id, AGENT, 99)
    garden.db.write_now(SERVICE, items.remove_event, removal)

    assert new not in garden.ids(POTATOES)


def test_facts_are_asked_for_by_their_kind(garden: Asked) -> None:
    fact = garden.learn(
        "mem_000016", "Paul is allergic to wasp stings", Triple("Paul", "allergic_to", "wasp stings"),
        kind=ItemKind.FACT,
    )  # fmt: skip

    found = garden.ask("What is Paul allergic to?", item_kinds=(ItemKind.FACT,))

    assert [hit.item.id for hit in found.items] == [fact.id]
    assert found.items[0].sources == ("mem_000016",)
    assert garden.ask("What is Paul allergic to?").items[0].facts[0].id == fact.id


def test_asking_for_other_kinds_before_changes_no_answer(garden: Asked) -> None:
    for number in range(3):
        triple = Triple("paul", f"allergic_to_{number}", "wasps")
        garden.learn("mem_000016", f"Paul is allergic to wasps of kind {number}.", triple, kind=ItemKind.FACT)
    kinds = ((), (ItemKind.FACT,), tuple(ItemKind))

    def asked(some: tuple[ItemKind, ...], recall: Recall | None = None) -> RecallResult:
        return garden.ask("What is Paul allergic to?", item_kinds=some, floor=False, explain=True, recall=recall)

    assert [asked(some) for some in kinds] == [asked(some, garden.anew()) for some in kinds]


def test_what_is_handed_out_is_known_when_it_is_said_again(garden: Asked) -> None:
    said = GARDEN[6][1]
    garden.ask("What is the opposite of what nobody said?", floor=True)
    assert not garden.read(garden.echo.is_echo, "ws_default", AGENT, said)

    workspace = garden.ask(POTATOES).items[0].item.workspace_id

    assert garden.read(garden.echo.is_echo, workspace, AGENT, said)


def test_a_reranker_has_the_last_word_and_none_changes_nothing(garden: Asked) -> None:
    class Shortest:
        async def score(self, question: str, texts: Sequence[str]) -> Sequence[float]:
            return [-len(text) for text in texts]

    class Silent:
        async def score(self, question: str, texts: Sequence[str]) -> None:
            return None

    plain = garden.ids(POTATOES)
    texts = [hit.item.text or "" for hit in garden.ask(POTATOES, recall=garden.anew(reranker=Shortest())).items]

    assert texts == sorted(texts, key=len)
    assert garden.ids(POTATOES, recall=garden.anew(reranker=Silent())) == plain


def test_an_empty_memory_has_no_answer(memory: Asked) -> None:
    found = memory.ask("Is anybody there?", floor=False)

    assert (found.items, found.documents) == ([], 0)


def test_a_question_of_nothing_but_signs_has_no_answer(garden: Asked) -> None:
    assert garden.ids("?!") == []
