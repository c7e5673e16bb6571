"""A conversation to write down, and whoever looks at it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from memroos_contracts.governance import INTERNAL, Label
from memroos_contracts.identity import DEFAULT_WORKSPACE, WorkspaceId
from memroos_contracts.memory import IngestEvent, MemoryEventView, MemoryKind
from memroos_contracts.memory_items import ItemQuery, ItemView, Triple, Viewer
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Hot, Read, Tx
from memroos_kit.text.words import words_of
from memroos_memory import items
from memroos_memory.actor import SERVICE
from memroos_memory.items.log import digest_of
from memroos_memory.items.queries import rows_of

ANN = "agent:agt_ann"
BOB = "agent:agt_bob"
_MATCH = Hot(text("SELECT rowid FROM lexical_index WHERE lexical_index MATCH :match"))
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def event(  # a row of words
    name: str,
    said: str,
    *,
    readers: Sequence[str] = (ANN,),
    private: bool = False,
    workspace: str = DEFAULT_WORKSPACE,
    at: datetime = START,
    **words: Any,
) -> IngestEvent:
    """An event as the kernel hands it over."""
    view = MemoryEventView(
        id=f"mem_{name}",
        workspace_id=WorkspaceId(workspace),
        stream=words.pop("stream", "talk"),
        stream_seq=words.pop("stream_seq", 1),
        kind=MemoryKind.MEMORY,
        author=words.pop("author", ANN),
        text=said,
        digest=digest_of(said),
        occurred_at=at,
        created_at=at,
        **words,
    )
    return IngestEvent(view, tuple(readers), private, words.pop("position", 1))


class Memory:
    """The items of one reader, with short words for what tests do to them."""

    def __init__(self, db: Database, clock: ManualClock, reader: str = ANN, workspace: str = DEFAULT_WORKSPACE) -> None:
        self.db = db
        self.clock = clock
        self.viewer = Viewer(WorkspaceId(workspace), reader, reader or "operator:key_1")

    def as_seen_by(self, reader: str, workspace: str = DEFAULT_WORKSPACE) -> "Memory":
        """The same database through other eyes."""
        return Memory(self.db, self.clock, reader, workspace)

    def write(self, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Change something on behalf of the viewer, a second later."""
        self.clock.advance(seconds=1)
        return self.db.write_now(SERVICE, verb, self.viewer, *args, **kwargs)

    def read(self, query: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Ask something on behalf of the viewer."""
        return self.db.read_now(SERVICE, query, self.viewer, *args, **kwargs)

    def hear(self, one: IngestEvent, **kwargs: Any) -> int | None:
        """Take over an event."""
        self.clock.advance(seconds=1)
        return self.db.write_now(SERVICE, items.add_event, one, **kwargs)

    def say(self, name: str, said: str = "", **words: Any) -> str:
        """Take over an event of the viewer's, and return its id."""
        one = event(name, said or f"this is {name}", **words)
        self.hear(one)
        return one.event.id

    def learn(self, source: str, content: str, triple: Triple | None = None, **words: Any) -> ItemView:
        """Derive something from an event that is there."""
        found = self.try_to_learn(source, content, triple, **words)
        assert found is not None
        return found

    def try_to_learn(self, source: str, content: str, triple: Triple | None = None, **words: Any) -> ItemView | None:
        """Derive something from an event that may be gone."""
        self.clock.advance(seconds=1)

        def verb(tx: Tx) -> ItemView | None:
            seq = items.seq_of(tx, source)
            assert seq is not None
            scope = rows_of(tx, [seq])[0].scope_seq
            return items.add_learned(tx, scope, items.Learned(text=content, triple=triple, **words), from_seq=seq)

        return self.db.write_now(SERVICE, verb)

    def get(self, item_id: str) -> ItemView:
        """The item as it stands."""
        found = self.read(items.get, item_id)
        assert isinstance(found, ItemView)
        return found

    def ids(self, where: Any = None, **query: Any) -> list[str]:
        """The ids of what a query lists."""
        return [item.id for item in self.read(items.list_items, ItemQuery(**query), where).items]

    def texts(self, **query: Any) -> list[str | None]:
        """The texts of what a query lists."""
        return [item.text for item in self.read(items.list_items, ItemQuery(**query)).items]

    @property
    def scope_id(self) -> str:
        """The only scope the viewer sees."""
        (scope,) = self.read(items.list_scopes)
        return str(scope.id)

    @property
    def last_seq(self) -> int:
        """How far the log of the only scope is."""
        (scope,) = self.read(items.list_scopes)
        return int(scope.last_seq)

    def indexed(self, word: str) -> list[int]:
        """The items in which a word stands, whatever the scope."""

        def query(tx: Read) -> list[int]:
            (form,) = words_of(word)
            match = " OR ".join(f'"{scope}x{form}"' for scope in range(1, 5))
            return sorted(row[0] for row in tx.execute(_MATCH, match=match).fetchall())

        return self.db.read_now(SERVICE, query)

    def whole(self) -> list[ItemView]:
        """All that the viewer sees, as it stands, without the marks of when and how it came to stand so."""
        statuses = ("active", "superseded")
        found = self.read(items.list_items, msgspec.convert({"statuses": statuses, "limit": 100}, ItemQuery)).items
        blank = {"version": 0, "log_seq": 0, "recorded_at": START}
        return [msgspec.structs.replace(item, **blank) for item in found]


@pytest.fixture
def memory(db: Database, clock: ManualClock) -> Memory:
    """What Ann's agent remembers."""
    return Memory(db, clock)


def day(number: int) -> datetime:
    """An instant so many days after the beginning."""
    return START + timedelta(days=number)


__all__ = ["ANN", "BOB", "INTERNAL", "Label", "Memory", "START", "day", "event"]
