"""Items written as rows, without the slice above that decides about them, and what a plain reader makes of them."""

import hashlib
import math
from collections import Counter
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, insert, update

from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Read, Tx
from memroos_kit.text.words import words_of
from memroos_memory import lexical
from memroos_memory.lexical.writing import date_words
from memroos_memory.models import Item, ItemVersion, Scope

START = datetime(2023, 5, 8, 9, tzinfo=UTC)

_SCOPE = Hot(insert(Scope))
_ITEM = Hot(insert(Item))
_VERSION = Hot(insert(ItemVersion))
_BUMP = Hot(update(Scope).where(Scope.seq == bindparam("which")).values(last_seq=Scope.last_seq + 1))
_STATUS = Hot(update(Item).where(Item.seq == bindparam("which")).values(status=bindparam("new_status")))


class Turn:
    """A turn as a test says it."""

    def __init__(self, speaker: str, text: str, *, stream: str = "talk", minute: int = 0, kind: str = "event") -> None:
        self.speaker = speaker
        self.text = text
        self.stream = stream
        self.at = START + timedelta(minutes=minute)
        self.kind = kind


def open_scope(tx: Tx, seq: int) -> None:
    tx.execute(
        _SCOPE, seq=seq, id=f"scp_{seq}", workspace_id="w", readers=f'["agent:{seq}"]', private=0, user_id="",
        last_seq=0, items=0, created_at=0,
    )  # fmt: skip


def say(tx: Tx, scope_seq: int, item_seq: int, turn: Turn) -> None:
    length = lexical.add(tx, scope_seq, item_seq, turn.text, lexical.meta_of(turn.speaker, turn.at))
    values: dict[str, object] = {column.name: "" for column in Item.__table__.columns}
    values |= dict.fromkeys(("source", "data", "valid_from", "valid_to", "subject", "relation", "object"))
    tx.execute(_ITEM, **values | {
        "seq": item_seq, "id": f"mem_{item_seq:06}", "scope_seq": scope_seq, "kind": turn.kind, "stream": turn.stream,
        "stream_seq": item_seq, "speaker": turn.speaker, "text": turn.text, "occurred_at": to_micros(turn.at),
        "created_at": 0, "recorded_at": 0, "echo": 0, "version": 1, "log_seq": 0, "sources": "[]", "label": "{}",
        "confidence": 1.0, "status": "active", "contested": 0, "contradicts": "[]", "seen_count": 1,
        "digest": "sha256:" + hashlib.sha256(turn.text.encode()).hexdigest(),
        "words": length.words, "meta_words": length.meta_words,
    })  # fmt: skip
    _log(tx, scope_seq, item_seq)


def take_back(tx: Tx, scope_seq: int, item_seq: int) -> None:
    lexical.remove(tx, item_seq)
    tx.execute(_STATUS, which=item_seq, new_status="deleted")
    _log(tx, scope_seq, item_seq)


def say_again(tx: Tx, scope_seq: int, item_seq: int, turn: Turn) -> None:
    lexical.add(tx, scope_seq, item_seq, turn.text, lexical.meta_of(turn.speaker, turn.at))
    tx.execute(_STATUS, which=item_seq, new_status="active")
    _log(tx, scope_seq, item_seq)


def _log(tx: Tx, scope_seq: int, item_seq: int) -> None:
    tx.execute(_BUMP, which=scope_seq)
    log_seq = tx.execute(Hot(Scope.__table__.select().where(Scope.seq == bindparam("which"))), which=scope_seq)
    last = dict(zip([c.name for c in Scope.__table__.columns], log_seq.fetchone(), strict=True))["last_seq"]
    tx.execute(
        _VERSION, scope_seq=scope_seq, log_seq=last, item_seq=item_seq, version=last, change="add", actor="", reason="",
        operation="", recorded_at=0, state="{}",
    )  # fmt: skip


def scores(tx: Read, postings: lexical.Postings, scope_seq: int, words: list[str]) -> dict[int, float]:
    """Return what the index says of every turn that has a score."""
    table, places = postings.find(tx, scope_seq, words)
    weighed = lexical.score([table], [places], table.turn, words)
    return {int(table.seq[row]): round(float(s), 3) for row, s in enumerate(weighed.scores) if s > 0}


def plain_scores(turns: dict[int, Turn], words: list[str]) -> dict[int, float]:
    """Return what a reader of the definition would compute, turn by turn."""
    documents = {seq: _document(turns, seq) for seq in turns}
    lengths = {seq: bag.total() - 2 * len(_asked(turns, seq)) for seq, bag in documents.items()}
    average = sum(lengths.values()) / max(len(documents), 1)
    result: dict[int, float] = {}
    for word in words:
        having = sum(1 for bag in documents.values() if word in bag)
        idf = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
        for seq, bag in documents.items():
            if count := bag[word]:
                norm = 2.0 * (0.5 + 0.5 * lengths[seq] / average)
                result[seq] = result.get(seq, 0.0) + idf * count * 3.0 / (count + norm)
    return {seq: round(score, 3) for seq, score in result.items()}


def _document(turns: dict[int, Turn], seq: int) -> Counter[str]:
    turn = turns[seq]
    bag = Counter(3 * words_of(turn.text))
    bag.update(words_of(f"{turn.speaker} {turn.speaker} {date_words(turn.at)}"))
    line = sorted(other for other, one in turns.items() if one.stream == turn.stream)
    for steps in (line[line.index(seq) + 1 :][:2], line[: line.index(seq)][::-1][:2]):
        here = turn
        for there in (turns[other] for other in steps):
            if abs(there.at - here.at) > timedelta(hours=1):
                break
            bag.update(words_of(there.text))
            here = there
    bag.update(2 * _asked(turns, seq))
    return bag


def _asked(turns: dict[int, Turn], seq: int) -> list[str]:
    """Return the words of the question that a turn follows."""
    turn = turns[seq]
    earlier = [other for other in turns if other < seq and turns[other].stream == turn.stream]
    if not earlier:
        return []
    before = turns[max(earlier)]
    asked = "?" in before.text and abs(before.at - turn.at) <= timedelta(hours=1)
    return words_of(before.text) if asked else []
