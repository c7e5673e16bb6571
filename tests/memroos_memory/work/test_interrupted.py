"""Killed anywhere, before or after any write, the work comes to the same end: nothing is lost, nothing is doubled."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.memroos_memory.work.conftest import AGENT, ORDER, SERVICE, Service, said

from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory import Removal
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Hot, Read
from memroos_memory import items, jobs, work

SAID = ("I live in Oslo.", "I like the harbour here.", "ok", "I live in Rome.", "I live in Rome. It is warm.")
REMOVAL = Removal("mem_00002", DEFAULT_WORKSPACE, AGENT, position=9)
_LOG = Hot(text("SELECT item_seq, version, change, state FROM item_version ORDER BY scope_seq, log_seq"))
_JOBS = Hot(text("SELECT count(*) FROM job WHERE state <> 'done'"))


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """Lets the process die before or after the n-th call that changes something."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.calls = 0

    def wrap(self, owner: Any, name: str) -> None:
        """Count the calls of a method."""
        call = getattr(owner, name)

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            turn = self.calls == self.at
            if turn and not self.after:
                raise Killed
            answer = await call(*args, **kwargs)
            if turn:
                raise Killed
            return answer

        setattr(owner, name, counted)


@contextmanager
def service_in(folder: Path, template: Path) -> Iterator[Service]:
    folder.mkdir()
    path = Path(shutil.copyfile(template, folder / "memory.db"))
    bell = jobs.Bell()
    db = Database(path, authorizer=items.DecidedByKernel(), journals=[bell], clock=ManualClock())
    made = Service(db, bell, folder)
    made.take(*(said(n, words) for n, words in enumerate(SAID, 1)))
    db.write_now(SERVICE, work.take_removals, [REMOVAL])
    yield made
    made.embedder.close()
    asyncio.run(made.graph.close())
    db.close()


def do_until(service: Service, mortal: Mortal) -> bool:
    """Work on; return whether the process died."""
    kept = {owner: dict(vars(owner)) for owner in (service.db, service.index, service.graph)}
    for owner, name in (
        (service.db, "write"),
        (service.index, "upsert"),
        (service.index, "remove"),
        (service.graph, "put"),
        (service.graph, "remove"),
    ):
        mortal.wrap(owner, name)
    try:
        service.do(ORDER)
    except BaseException as error:
        if not isinstance(error, Killed) and not _is_kill(error):
            raise
        return True
    finally:
        for owner, before in kept.items():
            for name in set(vars(owner)) - set(before):
                delattr(owner, name)
    return False


def _is_kill(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup) and any(
        isinstance(one, Killed) or _is_kill(one) for one in error.exceptions
    )


def end(service: Service) -> Any:
    """Everything there is, in the end; ids of what was learned differ from run to run."""

    def rows(tx: Read) -> list[Any]:
        return [tuple(row[:3]) for row in tx.execute(_LOG).fetchall()]

    def open_jobs(tx: Read) -> int:
        return int(tx.execute(_JOBS).fetchone()[0])

    learned = [(fact.text, fact.status, fact.seen_count, fact.sources) for fact in service.facts()]
    count = asyncio.run(service.graph.count())
    return {
        "events": [(event.id, event.text) for event in service.events()],
        "learned": sorted(learned),
        "changes": sorted(change for _, _, change in service.db.read_now(SERVICE, rows)),
        "vectors": service.vectors,
        "points": asyncio.run(service.index.count()),
        "graph": (count.items, count.relations),
        "open jobs": service.db.read_now(SERVICE, open_jobs),
    }


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_killed_at_any_write_the_work_comes_to_the_same_end(
    tmp_path: Path, memory_template: Path, *, after: bool
) -> None:
    with service_in(tmp_path / "whole", memory_template) as service:
        service.do()
        whole = end(service)
    assert [fact[0] for fact in whole["learned"]] == ["Ann lives in Oslo", "Ann lives in Rome"]
    assert whole["open jobs"] == 0

    at, died = 1, True
    while died:
        with service_in(tmp_path / f"cut{at}", memory_template) as service:
            died = do_until(service, Mortal(at, after=after))
            service.db.write_now(SERVICE, jobs.recover_interrupted)
            service.do()
            assert end(service) == whole, f"killed at write {at}"
        at += 1
    assert at > 12
