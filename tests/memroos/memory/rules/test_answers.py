"""What an answer is made of."""

from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import START

from memroos.memory.rules import answers
from memroos_contracts.memory import Arm, RecallItem
from memroos_contracts.memory_items import ItemKind, ItemView


def item(item_id: str, *sources: str, text: str = "t", **others: str) -> ItemView:
    kind = ItemKind.FACT if item_id.startswith("itm_") else ItemKind.EVENT
    return ItemView(
        id=item_id,
        workspace_id="default",  # type: ignore[arg-type]
        kind=kind,
        text=text,
        sources=sources,
        recorded_at=START,
        **others,  # type: ignore[arg-type]
    )


def hit(item_id: str, score: float, *, text: str = "t") -> RecallItem:
    return RecallItem(item=item(item_id, item_id, text=text), score=score, snippet=text, sources=(item_id,))


def test_what_rests_on_removed_events_alone_is_hidden_with_them() -> None:
    one, both = item("itm_1", "mem_1"), item("itm_2", "mem_1", "mem_2")
    assert [found.id for found in answers.visible_items([one, both], {"mem_1"})] == ["itm_2"]
    assert answers.visible_items([both], {"mem_1"})[0].sources == ("mem_2",)


def test_nothing_of_a_hit_speaks_of_what_was_removed() -> None:
    found = RecallItem(
        item=item("mem_1", "mem_1"),
        score=1.0,
        snippet="t",
        sources=("mem_1", "mem_9"),
        facts=[item("itm_1", "mem_9"), item("itm_2", "mem_1", supersedes="itm_9", superseded_by="itm_1")],
        neighbours=[item("mem_9", "mem_9")],
        superseded_by="itm_9",
    )
    (seen,) = answers.visible_hits([found], {"mem_9", "itm_9"})
    assert "_9" not in str(seen)
    assert [fact.id for fact in seen.facts] == ["itm_2"]


def test_a_newcomer_stands_before_what_answers_worse_by_the_kernels_measure() -> None:
    measured = {"good": 3.0, "fair": 2.0, "bad": 1.0}
    hits = [hit("mem_1", 9.0, text="good"), hit("mem_2", 8.0, text="bad")]
    merged = answers.merge(hits, [hit("mem_3", 2.0, text="fair")], measured.__getitem__, limit=10, explain=True)
    assert [one.item.id for one in merged] == ["mem_1", "mem_3", "mem_2"]
    assert merged[1].arms[Arm.EPISODIC].score == 2.0
    assert [one.score for one in merged] == [9.0, 8.0, 8.0]


hits = st.lists(st.tuples(st.integers(0, 30), st.floats(0, 10)), max_size=12, unique_by=lambda one: one[0])


@given(hits, hits, st.integers(1, 10))
def test_a_merge_keeps_both_orders_repeats_nothing_and_stays_sorted(
    theirs: list[tuple[int, float]], ours: list[tuple[int, float]], limit: int
) -> None:
    first = sorted((hit(f"mem_{n}", score, text=str(n)) for n, score in theirs), key=lambda one: -one.score)
    second = sorted((hit(f"mem_{n}", score) for n, score in ours), key=lambda one: -one.score)
    merged = answers.merge(first, second, lambda text: float(text) / 3, limit=limit, explain=False)
    ids = [one.item.id for one in merged]
    known = [one.item.id for one in first]
    assert len(ids) == len(set(ids)) == min(limit, len({*known, *(one.item.id for one in second)}))
    assert [name for name in ids if name in known] == known[: len([name for name in ids if name in known])]
    fresh = [one.item.id for one in second if one.item.id not in known]
    assert [name for name in ids if name in fresh] == fresh[: len([name for name in ids if name in fresh])]
    assert [one.score for one in merged] == sorted((one.score for one in merged), reverse=True)
