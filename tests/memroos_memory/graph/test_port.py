"""What a graph does, whatever keeps it."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from tests.memroos_memory.graph.conftest import Place
from tests.memroos_memory.graph.said import FEBRUARY, JANUARY, MARCH, changes, mentions, proves, questions
from tests.memroos_memory.graph.twin import MemoryGraph

from memroos_contracts.memory_errors import IndexUnavailable
from memroos_memory.graph import Graph, GraphCount, GraphEntry
from memroos_memory.graph.port import ENTITIES_MAX, HUB

EMPTY = GraphCount(items=0, entities=0, relations=0)


async def found(graph: Graph, *entities: str, scopes: tuple[int, ...] = (1,), hops: int = 0) -> list[int]:
    """Return the items that a question for entities finds, best first."""
    return [hit.item_seq for hit in await graph.items_of(scopes, entities, hops=hops)]


def test_an_item_is_found_by_the_entities_it_mentions(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(1, "Ann", "Berlin"), mentions(2, "Bob"), mentions(3)])

        assert await found(graph, "Ann") == [1]
        assert await found(graph, "Bob", "Berlin") == [1, 2]
        assert await found(graph, "Carl") == []
        assert await graph.count() == GraphCount(items=3, entities=3, relations=0)

    place.tell(story)


def test_what_proves_a_relation_is_found_by_both_of_its_ends(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [proves(1, "Ann", "lives_in", "Berlin")])

        assert await found(graph, "ann") == [1]
        assert await found(graph, "berlin") == [1]

    place.tell(story)


def test_relations_lead_to_other_items_in_both_directions(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [proves(1, "Ann", "sister_of", "Bob"), proves(2, "Bob", "lives_in", "Berlin")])
        await graph.put(1, [mentions(3, "Berlin")])

        assert await found(graph, "Ann", hops=0) == [1]
        assert await found(graph, "Ann", hops=1) == [1, 2]
        assert await found(graph, "Ann", hops=2) == [1, 2, 3]
        assert await found(graph, "Berlin", hops=2) == [2, 3, 1]

    place.tell(story)


def test_hits_say_how_far_they_are_and_count_half_with_each_hop(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(
            1, [proves(1, "a", "next", "b"), proves(2, "b", "next", "c"), mentions(3, "a"), mentions(4, "c")]
        )
        hits = {hit.item_seq: hit for hit in await graph.items_of([1], ["a"], hops=2)}

        assert {seq: hit.hops for seq, hit in hits.items()} == {1: 0, 2: 1, 3: 0, 4: 2}
        assert hits[4].weight == pytest.approx(hits[3].weight / 4)
        assert {hit.item_seq for hit in await graph.items_of([1], ["a"], hops=1)} == {1, 2, 3}

    place.tell(story)


def test_a_way_in_a_circle_ends(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [proves(1, "a", "next", "b"), proves(2, "b", "next", "a"), proves(3, "a", "knows", "a")])

        assert sorted(await found(graph, "a", hops=3)) == [1, 2, 3]
        assert {hit.hops for hit in await graph.items_of([1], ["a"], hops=3)} == {0}

    place.tell(story)


def test_the_rarer_an_entity_the_more_it_says(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(seq, "Ann") for seq in range(1, 6)])
        await graph.put(1, [mentions(6, "Violin"), mentions(7, "Ann", "Violin")])

        assert await found(graph, "Ann", "Violin") == [7, 6, 1, 2, 3, 4, 5]
        assert [hit.item_seq for hit in await graph.items_of([1], ["Ann", "Violin"], limit=2)] == [7, 6]

    place.tell(story)


def test_an_entity_that_is_everywhere_is_neither_an_answer_nor_a_way(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(seq, "I") for seq in range(1, HUB + 1)])
        await graph.put(1, [proves(HUB + 1, "Ann", "knows", "I"), proves(HUB + 2, "Bob", "knows", "I")])

        assert await found(graph, "I", hops=1) == []
        assert await found(graph, "Ann", hops=3) == [HUB + 1]
        await graph.remove(1, [1, 2])
        assert len(await graph.items_of([1], ["I"], hops=0, limit=5_000)) == HUB

    place.tell(story)


def test_an_entity_is_the_same_in_every_way_of_writing(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(1, "  Ann   Lee "), mentions(2, "\uff21NN lee."), mentions(3, "STRASSE")])

        assert await found(graph, "(ann lee)") == [1, 2]
        assert await found(graph, "Straße") == [3]
        assert await graph.count() == GraphCount(items=3, entities=2, relations=0)

    place.tell(story)


def test_what_is_no_name_is_left_out(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(1, "", "  ", "?!"), proves(2, "Ann", "said", "x" * 5_000)])
        await graph.put(1, [mentions(3, *(f"e{number}" for number in range(ENTITIES_MAX + 9)))])

        assert await found(graph, "", "  ", "?!", "x" * 5_000) == []
        assert await found(graph, "Ann") == [2]
        assert await graph.count() == GraphCount(items=3, entities=1 + ENTITIES_MAX, relations=0)

    place.tell(story)


@pytest.mark.parametrize(
    "name", ["'; MATCH (n) DETACH DELETE n //", '"} ) DELETE', "$scope", "%", "a\\", "😀", "a\x00b"]
)
def test_a_hostile_name_is_a_name(place: Place, name: str) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(1, name), mentions(2, "Ann"), proves(3, name, name, "Bob")])

        assert await found(graph, name) == [1, 3]
        assert [one.relation for one in await graph.neighbours([1], [name])] == [name]
        assert await found(graph, "Ann") == [2]

    place.tell(story)


# -- scopes ------------------------------------------------------------------------------------------------------------


def test_nothing_leads_from_one_scope_into_another(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [proves(1, "Ann", "knows", "Bob"), mentions(2, "Bob")])
        await graph.put(2, [proves(3, "Ann", "knows", "Carl"), mentions(4, "Bob"), proves(5, "Bob", "knows", "Dora")])

        assert await found(graph, "Ann", scopes=(1,), hops=3) == [1, 2]
        assert await found(graph, "Bob", scopes=(2,), hops=3) == [5, 4]
        assert sorted(await found(graph, "Bob", scopes=(1, 2, 2))) == [1, 2, 4, 5]
        assert await found(graph, "Bob", scopes=()) == []
        assert await found(graph, "Bob", scopes=(3,)) == []
        assert [one.object for one in await graph.neighbours([2], ["Ann"])] == ["carl"]

    place.tell(story)


def test_how_often_others_mention_an_entity_does_not_count(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(1, "Ann")])
        before = await graph.items_of([1], ["Ann"])
        await graph.put(2, [mentions(seq, "Ann") for seq in range(10, 60)])

        assert await graph.items_of([1], ["Ann"]) == before

    place.tell(story)


def test_a_change_in_one_scope_leaves_the_others_alone(place: Place) -> None:
    async def story(graph: Graph) -> None:
        for scope in (1, 2, 3):
            await graph.put(scope, [proves(7, "Ann", "lives_in", "Berlin")])
        await graph.remove(1, [7])

        assert await found(graph, "Ann", scopes=(1,)) == []
        for scope in (2, 3):
            assert await found(graph, "Ann", scopes=(scope,)) == [7]
        assert await graph.count() == GraphCount(items=2, entities=4, relations=2)

    place.tell(story)


# -- changes -----------------------------------------------------------------------------------------------------------


def test_putting_again_changes_nothing(place: Place) -> None:
    async def story(graph: Graph) -> None:
        entries = [
            proves(1, "Ann", "lives_in", "Berlin"),
            mentions(2, "Ann", "Bob"),
            proves(3, "Ann", "lives_in", "Berlin"),
        ]
        await graph.put(1, entries)
        before = (
            await graph.items_of([1], ["Berlin"], hops=2),
            await graph.neighbours([1], ["Ann"]),
            await graph.count(),
        )
        await graph.put(1, entries)
        await graph.put(1, entries[::-1])

        after = await graph.items_of([1], ["Berlin"], hops=2), await graph.neighbours([1], ["Ann"]), await graph.count()
        assert after == before

    place.tell(story)


def test_what_an_item_says_now_replaces_what_it_said(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [proves(1, "Ann", "lives_in", "Berlin"), mentions(2, "Berlin")])
        await graph.put(1, [proves(1, "Ann", "lives_in", "Rome")])

        assert await found(graph, "Berlin", hops=1) == [2]
        assert [one.object for one in await graph.neighbours([1], ["Ann"])] == ["rome"]
        assert await graph.count() == GraphCount(items=2, entities=3, relations=1)

    place.tell(story)


def test_of_several_entries_for_one_item_the_last_counts(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(1, "Ann"), mentions(1, "Bob")])

        assert await found(graph, "Ann") == []
        assert await found(graph, "Bob") == [1]

    place.tell(story)


def test_with_an_item_go_its_mentions_its_relations_and_who_nobody_else_mentions(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(
            1, [proves(1, "Ann", "lives_in", "Berlin"), proves(2, "Ann", "knows", "Bob"), mentions(3, "Bob")]
        )
        await graph.remove(1, [1, 99])
        await graph.remove(1, [1])

        assert await found(graph, "Berlin", hops=3) == []
        assert await found(graph, "Bob", hops=1) == [2, 3]
        assert await graph.count() == GraphCount(items=2, entities=2, relations=1)
        await graph.remove(1, [2, 3])
        assert await graph.count() == EMPTY

    place.tell(story)


def test_a_relation_stands_as_long_as_one_item_proves_it(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [proves(1, "Ann", "lives_in", "Berlin"), proves(2, "ANN", "lives_in", "berlin")])
        assert [one.items for one in await graph.neighbours([1], ["Ann"])] == [(1, 2)]
        await graph.remove(1, [1])
        assert [one.items for one in await graph.neighbours([1], ["Ann"])] == [(2,)]
        await graph.remove(1, [2])
        assert await graph.neighbours([1], ["Ann"]) == []

    place.tell(story)


def test_a_superseded_fact_holds_until_its_successor_does(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [proves(1, "Ann", "lives_in", "Berlin", valid_from=JANUARY)])
        await graph.put(1, [proves(1, "Ann", "lives_in", "Berlin", valid_from=JANUARY, valid_to=FEBRUARY)])
        await graph.put(1, [proves(2, "Ann", "lives_in", "Rome", valid_from=FEBRUARY), mentions(3, "Berlin")])

        homes = {
            at: [one.object for one in await graph.neighbours([1], ["Ann"], at=at)] for at in (JANUARY, FEBRUARY, MARCH)
        }
        assert homes == {JANUARY: ["berlin"], FEBRUARY: ["rome"], MARCH: ["rome"]}
        assert [(one.object, one.valid_from, one.valid_to) for one in await graph.neighbours([1], ["Ann"])] == [
            ("berlin", JANUARY, FEBRUARY),
            ("rome", FEBRUARY, None),
        ]
        then = await graph.items_of([1], ["Ann"], hops=1, at=JANUARY)
        now = await graph.items_of([1], ["Ann"], hops=1, at=MARCH)
        assert 3 in {hit.item_seq for hit in then}
        assert 3 not in {hit.item_seq for hit in now}

    place.tell(story)


def test_a_large_batch_is_kept_as_a_whole(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [proves(seq, f"e{seq}", "next", f"e{seq + 1}") for seq in range(1, 1_201)])
        assert await graph.count() == GraphCount(items=1_200, entities=1_201, relations=1_200)
        assert await found(graph, "e700", hops=1) == [699, 700, 698, 701]
        await graph.remove(1, range(1, 1_201))
        assert await graph.count() == EMPTY

    place.tell(story)


def test_changes_at_the_same_time_all_count(place: Place) -> None:
    async def story(graph: Graph) -> None:
        async with asyncio.TaskGroup() as group:
            for seq in range(1, 21):
                group.create_task(graph.put(1, [proves(seq, "Ann", "knows", f"p{seq % 3}")]))
                group.create_task(graph.items_of([1], ["Ann"], hops=2))
        async with asyncio.TaskGroup() as group:
            for seq in range(1, 21, 2):
                group.create_task(graph.remove(1, [seq]))
                group.create_task(graph.put(1, [mentions(seq + 1, "Ann")]))

        assert await graph.count() == GraphCount(items=10, entities=1, relations=0)

    place.tell(story)


def test_who_loses_a_last_mention_while_getting_another_stays(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [proves(1, "Ann", "knows", "Bob")])
        for seq in range(1, 40):
            async with asyncio.TaskGroup() as group:
                group.create_task(graph.remove(1, [seq]))
                group.create_task(graph.put(1, [proves(seq + 1, "Ann", "knows", "Bob")]))
                asked = [group.create_task(graph.items_of([1], ["Ann"], hops=2)) for _ in range(4)]
            assert {hit.item_seq for answer in asked for hit in answer.result()} <= {seq, seq + 1}
            assert await found(graph, "Ann", "Bob") == [seq + 1]

    place.tell(story)


def test_questions_without_an_answer_have_none(place: Place) -> None:
    async def story(graph: Graph) -> None:
        assert await graph.items_of([1], [], hops=3) == []
        assert await graph.items_of([], ["Ann"], hops=9) == []
        await graph.put(1, [])
        await graph.remove(1, [])
        await graph.put(1, [proves(1, "Ann", "knows", "Bob")])
        assert await graph.items_of([1], ["Ann"], limit=0) == []
        assert await graph.items_of([1], ["Ann"], hops=-1) == await graph.items_of([1], ["Ann"], hops=0)
        assert await graph.neighbours([1], ["Ann"], limit=0) == []

    place.tell(story)


# -- standing ----------------------------------------------------------------------------------------------------------


def test_it_is_ready_when_everything_was_put_and_stays_so(place: Place) -> None:
    async def build(graph: Graph) -> None:
        assert not (await graph.state()).ready
        await graph.put(1, [proves(1, "Ann", "knows", "Bob")])
        assert (await graph.state()).detail != ""
        await graph.complete()
        assert ((await graph.state()).ready, (await graph.state()).items) == (True, 1)

    async def look(graph: Graph) -> None:
        assert (await graph.state()).ready
        assert await found(graph, "Ann") == [1]
        await graph.reset()
        assert not (await graph.state()).ready
        assert await graph.count() == EMPTY

    place.tell(build)
    if place.lasts:
        place.tell(look, go_on=True)


def test_a_closed_graph_says_that_it_is_not_there(place: Place) -> None:
    async def story(graph: Graph) -> None:
        await graph.close()
        for work in (graph.items_of([1], ["a"]), graph.put(1, [mentions(1, "a")]), graph.count(), graph.reset()):
            with pytest.raises(IndexUnavailable):
                await work
        assert not (await graph.state()).ready

    place.tell(story)


# -- whatever happens --------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=changes, question=questions)
def test_it_answers_as_its_twin_in_memory_does(
    place: Place, history: list[tuple[str, tuple[object, ...]]], question: dict[str, object]
) -> None:
    async def story(graph: Graph) -> None:
        twin = MemoryGraph()
        for verb, args in history:
            await getattr(graph, verb)(*args)
            await getattr(twin, verb)(*args)

        assert await graph.count() == await twin.count()
        assert await graph.neighbours(**question) == await twin.neighbours(**question)  # type: ignore[arg-type]
        for hops in (0, 1, 3):
            assert await graph.items_of(**question, hops=hops) == await twin.items_of(**question, hops=hops)  # type: ignore[arg-type]

    place.tell(story)


def test_built_anew_it_gives_the_same_answers(place: Place) -> None:
    entries = [proves(seq, f"e{seq % 7}", "next", f"e{seq % 5}") for seq in range(1, 80)]
    entries += [mentions(seq, f"e{seq % 11}", "Ann") for seq in range(80, 120)]

    async def answers(graph: Graph, given: list[GraphEntry]) -> list[object]:
        await graph.reset()
        for start in range(0, len(given), 10):
            await graph.put(1, given[start : start + 10])
        await graph.complete()
        return [
            *[await graph.items_of([1], [f"e{number}", "Ann"], hops=2) for number in range(11)],
            await graph.neighbours([1], ["e1", "e2"]),
        ]

    async def story(graph: Graph) -> None:
        first = await answers(graph, entries)
        assert await answers(graph, entries[::-1]) == first

    place.tell(story)
