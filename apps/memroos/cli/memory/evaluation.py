"""`memroos memory eval`: measures recall with a question file, as a user would ask.

The conversations are kept through the same interface as anybody's, each about a user of its own; the questions go
through recall as any question does.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from memroos.cli.failures import Failure
from memroos.cli.memory.evals import Row, columns
from memroos.cli.memory.work import wait_idle
from memroos.cli.options import PAGE, Kernel, remote
from memroos.cli.output import Progress
from memroos.cli.settings import memory_settings
from memroos_client.calls import memory as calls
from memroos_contracts.memory import Arm, NewMemories, NewMemory, RecallRequest
from memroos_contracts.memory_items import ItemKind, ItemQuery, ItemStatus
from memroos_contracts.recall_evals import NewRecallEval
from memroos_memory.embedders import Embedder, create_embedder
from memroos_memory.evals import plain, questions, scoring
from memroos_memory.evals.questions import Conversation, Question, QuestionFile, Session
from memroos_memory.evals.scoring import Outcome

RECALL = "recall"
PLAIN_BM25 = "plain BM25"
PLAIN_MEM0 = "plain mem0"

_LIMIT = 50
"""Hits that are asked for: several may rest on the same turn."""

Rank = Callable[[Question], tuple[str, ...]]


@click.command("eval")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--compare", is_flag=True, help="Ask plain mem0 and plain BM25 the same, too.")
@click.option("--run", default="", metavar="NAME", help="Under which name the conversations are kept.")
@click.option("--configuration", default=RECALL, show_default=True, help="What is measured, for the comparison.")
@click.option("--note", default="", help="Kept with the outcome.")
@click.option(
    "--wait-s", type=click.FloatRange(1), default=1800.0, show_default=True, help="Longest wait for the work."
)
@remote
def eval_command(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel, file: Path, compare: bool, run: str, configuration: str, note: str, wait_s: float
) -> None:
    """Measure recall with the question file FILE. It has the shape of LoCoMo; the outcome is kept.

    The conversations are kept like anybody's, under the run's name; a second evaluation with the same name asks the
    same memories again.
    """
    try:
        asked = questions.load(file)
    except questions.QuestionFileInvalid as error:
        raise Failure(str(error), "It is a list of samples, each with `conversation` and `qa`.") from error
    run = run or f"{asked.name}-{asked.digest[:8]}"
    progress = Progress()
    try:
        results = [_measure_recall(kernel, asked, run, configuration, note, wait_s, progress)]
        if compare:
            results += _measure_plain(asked, run, progress)
    finally:
        progress.end()
    kept = [kernel.run(calls.keep_eval(result)) for result in results]
    if kernel.out.as_json:
        kernel.out.table(kept, [], empty="")
    else:
        kernel.out.table([Row(view.result) for view in kept], columns(results), empty="")


def _measure_recall(  # noqa: PLR0913, PLR0917 - the command's own words
    kernel: Kernel, asked: QuestionFile, run: str, configuration: str, note: str, wait_s: float, progress: Progress
) -> NewRecallEval:
    """Keep what is not kept yet, wait until it is worked off, and ask."""
    turns: dict[str, str] = {}
    began = time.monotonic()
    new = 0
    for number, conversation in enumerate(asked.conversations):
        progress("keeping conversations", number, len(asked.conversations))
        found, more = _keep(kernel, conversation, run)
        turns |= found
        new += more
    if not wait_idle(kernel, timeout_s=wait_s, progress=progress).idle:
        raise Failure("The memory service has still work to do.", "`memroos memory jobs` shows it; then repeat.")
    took_s = time.monotonic() - began
    outcomes = _ask(asked, lambda conversation: _recall(kernel, run, conversation, turns), progress)
    return scoring.result(asked, configuration, outcomes, ingest_per_s=new / took_s if new else 0.0, run=run, note=note)


# -- keeping -----------------------------------------------------------------------------------------------------------


def _user(run: str, conversation: Conversation) -> str:
    return f"{run}/{conversation.id}"


def _stream(run: str, conversation: Conversation, session: Session) -> str:
    return f"evals/{run}/{conversation.id}/{session.number}"


def _keep(kernel: Kernel, conversation: Conversation, run: str) -> tuple[dict[str, str], int]:
    """Keep a conversation's turns where they are not kept yet; return which memory is which turn, and how many are new.

    A repeat after a broken run finds what was kept by the requests' keys.
    """
    known = _kept_before(kernel, conversation, run)
    if known is not None:
        return known, 0
    found: dict[str, str] = {}
    for session in conversation.sessions:
        stream = _stream(run, conversation, session)
        for start in range(0, len(session.turns), PAGE):
            some = session.turns[start : start + PAGE]
            memories = NewMemories(
                tuple(
                    NewMemory(
                        turn.text,
                        stream=stream,
                        user_id=_user(run, conversation),
                        speaker=turn.speaker,
                        occurred_at=session.at,
                    )
                    for turn in some
                )
            )
            kept = kernel.run(calls.write_all(memories, idempotency_key=f"{stream}/{start}"))
            found |= {event.id: turn.id for event, turn in zip(kept.items, some, strict=True)}
    return found, len(found)


def _kept_before(kernel: Kernel, conversation: Conversation, run: str) -> dict[str, str] | None:
    """Return which memory is which turn, None where not all turns are kept as they are in the file."""
    wanted = ItemQuery(
        kinds=(ItemKind.EVENT,), statuses=tuple(ItemStatus), user_id=_user(run, conversation), limit=PAGE
    )
    there = list(kernel.pages(calls.items(wanted)))
    expected = {
        (_stream(run, conversation, session), place): turn
        for session in conversation.sessions
        for place, turn in enumerate(session.turns, start=1)
    }
    found = {}
    for item in there:
        stream = item.stream[item.stream.find("/evals/") + 1 :]
        turn = expected.get((stream, item.stream_seq))
        if turn is None or turn.text != item.text:
            raise Failure(f"Under the name {run!r} something else is kept already.", "Name another with --run.")
        found[item.id] = turn.id
    return found if len(found) == len(expected) else None


# -- asking ------------------------------------------------------------------------------------------------------------


def _ask(asked: QuestionFile, ranking: Callable[[Conversation], Rank], progress: Progress) -> list[Outcome]:
    """Ask every question, one after the other."""
    total = sum(len(conversation.questions) for conversation in asked.conversations)
    outcomes: list[Outcome] = []
    for conversation in asked.conversations:
        rank = ranking(conversation)
        for question in conversation.questions:
            progress("asking questions", len(outcomes), total)
            outcomes.append(_timed(rank, question))
    return outcomes


def _timed(rank: Rank, question: Question) -> Outcome:
    began = time.perf_counter()
    return Outcome(question, rank(question), time.perf_counter() - began)


def _recall(kernel: Kernel, run: str, conversation: Conversation, turns: dict[str, str]) -> Rank:
    def rank(question: Question) -> tuple[str, ...]:
        request = RecallRequest(question.text, limit=_LIMIT, user_id=_user(run, conversation))
        found = kernel.run(calls.recall(request))
        if Arm.VECTOR in found.missing or Arm.EPISODIC in found.arms:
            raise Failure("Recall does not answer in full.", found.detail or "`memroos memory stats` says why.")
        return scoring.distinct(turns[source] for hit in found.items for source in hit.sources if source in turns)

    return rank


def _measure_plain(asked: QuestionFile, run: str, progress: Progress) -> list[NewRecallEval]:
    """Ask what recall is compared with; it gets the same turns, and the embedder of this machine's memory service."""
    by_words = _ask(asked, lambda one: _plain(plain.PlainBm25(one.turns)), progress)
    embedder = create_embedder(memory_settings())
    try:
        by_mem0, rate = _ask_mem0(asked, embedder, progress)
    finally:
        embedder.close()
    return [
        scoring.result(asked, PLAIN_MEM0, by_mem0, ingest_per_s=rate, run=run, note=embedder.identity),
        scoring.result(asked, PLAIN_BM25, by_words, run=run),
    ]


def _ask_mem0(asked: QuestionFile, embedder: Embedder, progress: Progress) -> tuple[list[Outcome], float]:
    outcomes: list[Outcome] = []
    ingest_s = 0.0
    with tempfile.TemporaryDirectory(prefix="memroos-eval-") as folder:
        for number, conversation in enumerate(asked.conversations):
            progress("asking plain mem0", number, len(asked.conversations))
            began = time.monotonic()
            with plain.PlainMem0(conversation.turns, embedder, Path(folder) / str(number)) as mem0:
                ingest_s += time.monotonic() - began
                outcomes += [_timed(_plain(mem0), question) for question in conversation.questions]
    return outcomes, asked.turns / ingest_s if ingest_s else 0.0


def _plain(way: plain.Plain) -> Rank:
    return lambda question: scoring.distinct(way.rank(question.text, _LIMIT))
