"""Recall: from a question to what is handed out.

What takes long or leaves the process is done first: the question's vector, the vector index, the graph. Then one read
of the database, on one snapshot, does the rest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from memroos_contracts.memory import Arm, ContextRequest, ContextResult, RecallItem, RecallQuery, RecallResult
from memroos_contracts.memory_errors import EmbedderFailed, IndexUnavailable, WrongDimension
from memroos_contracts.memory_items import ItemView
from memroos_kit import log
from memroos_kit.db import Database, Read
from memroos_memory import items
from memroos_memory.actor import SERVICE
from memroos_memory.echo import EchoMarks
from memroos_memory.embedders import Embedder
from memroos_memory.graph import Graph
from memroos_memory.lexical import Postings
from memroos_memory.recall import answering, context, dense
from memroos_memory.recall.ground import Floats, survey
from memroos_memory.recall.narrowing import narrow
from memroos_memory.recall.question import Question, take_apart
from memroos_memory.recall.ranking import Evidence, Search, rank
from memroos_memory.recall.reranking import Reranker
from memroos_memory.vectors import VectorIndex, stored

NEAREST = 64
"""Hits that are asked of the vector index, for each question."""

RELATED = 100
"""Hits that are asked of the graph."""

_log = log.get(__name__)
_AWAY = {
    Arm.VECTOR: "What means the same cannot be looked for at the moment.",
    Arm.GRAPH: "The graph cannot be asked at the moment.",
}
T = TypeVar("T")


class _Seen(NamedTuple):
    """What the asker may see."""

    scopes: tuple[int, ...]
    items: int
    embedder_seq: int | None


class Recall:
    """Answers questions to memory.

    Args:
        db: the memory service's database.
        postings: the words, in memory.
        embedder: what makes the question's vector; its identity says with which vectors it is compared.
        vectors: the index of vectors.
        graph: entities and what mentions them.
        echo: takes down what is handed out.
        reranker: looks at the best hits again; without one they stay as they are.
    """

    def __init__(  # noqa: PLR0913 - what recall is made of
        self,
        db: Database,
        postings: Postings,
        embedder: Embedder,
        vectors: VectorIndex,
        graph: Graph,
        echo: EchoMarks,
        *,
        reranker: Reranker | None = None,
    ) -> None:
        self._db = db
        self._postings = postings
        self._embedder = embedder
        self._vectors = vectors
        self._graph = graph
        self._echo = echo
        self._reranker = reranker
        self._samples = dense.Samples()

    async def recall(self, query: RecallQuery) -> RecallResult:
        """Find what answers a question among what its asker may see.

        Raises:
            FilterRefused: the filter cannot be honoured; nothing was searched.
            WrongDimension: the question's vector, which was given, has another length than the items' vectors.
        """
        result = await self._found(query)
        self._hand_out(query, result.items)
        return result

    async def context(self, query: RecallQuery, request: ContextRequest) -> ContextResult:
        """Find what answers a question, as a text within a budget of tokens.

        Raises:
            FilterRefused: the filter cannot be honoured; nothing was searched.
            WrongDimension: the question's vector, which was given, has another length than the items' vectors.
        """
        query = msgspec.structs.replace(query, request=request.recall)
        result = await self._found(query)
        written = context.write(result, request)
        self._hand_out(query, written.items)
        return written

    async def _found(self, query: RecallQuery) -> RecallResult:
        question = take_apart(query.request, self._db.clock.now())
        identity = self._embedder.identity
        seen = self._db.read_inline(SERVICE, _see, query, identity)
        if not seen.scopes:
            return RecallResult(items=[], arms=(Arm.LEXICAL,), missing=())
        evidence, missing = await self._evidence(query, question, seen)
        answer = await self._db.read(SERVICE, self._answer, query, question, evidence, seen, missing)
        return await self._looked_at_again(query, answer)

    async def _evidence(self, query: RecallQuery, question: Question, seen: _Seen) -> tuple[Evidence, dict[Arm, str]]:
        """Ask what is not in the database; an arm that cannot answer is missing, and the others go on."""
        missing: dict[Arm, str] = {}
        given = self._given(query)
        async with asyncio.TaskGroup() as asked:
            related = asked.create_task(
                self._tried(Arm.GRAPH, missing, partial(self._related, question, seen.scopes), dict[int, float]())
            )
            vector = given
            if vector is None:
                vector = await self._tried(Arm.VECTOR, missing, partial(self._made, query), None)
            near: list[int] = []
            if vector is not None and seen.items > dense.EXACT:
                near = await self._tried(Arm.VECTOR, missing, partial(self._near, vector, seen.scopes), near)
        return Evidence(vector, near, related.result()), missing

    async def _tried(self, arm: Arm, missing: dict[Arm, str], ask: Callable[[], Awaitable[T]], otherwise: T) -> T:
        try:
            return await ask()
        except (EmbedderFailed, IndexUnavailable, WrongDimension) as error:  # the last: embedders are just changing
            missing[arm] = _AWAY[arm]  # not what a server said of itself: that is for the log
            _log.info("recall.arm_missing", arm=arm.value, reason=str(error))
            return otherwise

    def _given(self, query: RecallQuery) -> Floats | None:
        """Return the question's vector where it comes with it."""
        if query.vector is None:
            return None
        if len(query.vector) != self._embedder.dimension:
            raise WrongDimension(got=len(query.vector), wanted=self._embedder.dimension)
        given: Floats = np.array(query.vector, np.float32)
        length = max(np.float32(np.linalg.norm(given)), np.float32(1e-9))
        unit: Floats = np.asarray(given / length, np.float32)
        return unit

    async def _made(self, query: RecallQuery) -> Floats | None:
        made: Floats = (await self._embedder.embed([query.request.query]))[0]
        return made

    async def _near(self, vector: Floats, scopes: Sequence[int]) -> list[int]:
        return [seq for seq, _ in await self._vectors.search(vector, scopes, NEAREST)]

    async def _related(self, question: Question, scopes: Sequence[int]) -> dict[int, float]:
        if not question.entities:
            return {}
        hits = await self._graph.items_of(scopes, question.entities, hops=1, limit=RELATED)
        # Where the limit cuts between equals, which of them came through says nothing.
        least = hits[-1].weight if len(hits) == RELATED else 0.0
        return {hit.item_seq: hit.weight for hit in hits if hit.weight > least}

    def _answer(
        self,
        tx: Read,
        query: RecallQuery,
        question: Question,
        evidence: Evidence,
        seen: _Seen,
        missing: Mapping[Arm, str],
    ) -> RecallResult:
        request = query.request
        ground, weighed = survey(tx, self._postings, seen.scopes, request.item_kinds, question.words)
        left = narrow(tx, request, seen.scopes, ground)
        allowed = ground.among if left is None else ground.among & left
        if not (question.before or request.as_of or request.known_at):
            allowed = allowed & ~ground.superseded
        search = Search(request, question, evidence, seen.scopes, ground, weighed, allowed, seen.embedder_seq)
        ranking = rank(tx, search, self._samples)
        hits: list[RecallItem] = []
        if ranking.answered or not request.floor:
            hits = answering.Answer(tx, search, ranking).hits()
        return RecallResult(
            items=hits,
            arms=tuple(arm for arm in Arm if arm in ranking.parts),
            missing=tuple(missing),
            documents=len(ground.rows),
            detail="; ".join(dict.fromkeys(missing.values())),
        )

    async def _looked_at_again(self, query: RecallQuery, answer: RecallResult) -> RecallResult:
        if self._reranker is None:
            return answer
        scores = await self._reranker.score(query.request.query, [hit.item.text or "" for hit in answer.items])
        if scores is None or len(scores) != len(answer.items):
            return answer
        order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
        return msgspec.structs.replace(answer, items=[answer.items[at] for at in order])

    def _hand_out(self, query: RecallQuery, hits: Sequence[RecallItem]) -> None:
        given: list[ItemView] = [item for hit in hits for item in (hit.item, *hit.facts, *hit.neighbours)]
        self._echo.mark(query.workspace_id, query.principal, [item.text for item in given if item.text])


def _see(tx: Read, query: RecallQuery, identity: str) -> _Seen:
    scopes = items.visible_scopes(tx, query.workspace_id, query.reader, user_id=query.request.user_id)
    held = items.count_in(tx, scopes)
    row = stored.find_embedder(tx, identity)
    return _Seen(tuple(scopes), held, row.seq if row is not None else None)
