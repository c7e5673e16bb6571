"""Notifications that wait until there is room for them."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from tests.memroos.push.receiver import Got, Reply, receiving
from tests.memroos.push.test_worker import Post, clock, posting, until

from memroos import push
from memroos_contracts.identity import Actor

__all__ = ["clock", "posting"]


@pytest.mark.parametrize("ending", ["deleted", "replaced"])
def test_what_was_ended_while_it_waited_for_room_is_not_sent_there(
    posting: Callable[..., None], caller: Actor, worker: Actor, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("memroos.push.worker.AT_ONCE", 1)

    async def story(post: Post) -> None:
        task = await post.send(caller)
        first = await post.create(caller, task, receiver.url, id="first")
        await post.create(caller, task, receiver.url, id="second", scheme="Bearer", credentials="old-secret")
        await post.work(worker, steps=0)
        await until(lambda: receiver.got)  # one is on its way, the other waits for its room
        waiting = "second" if receiver.got[0].id.startswith(first) else "first"
        if ending == "deleted":
            await post.house.db.write(caller, push.delete_named_config, task.id, waiting)
        else:
            await post.create(caller, task, f"{receiver.url}/new", id=waiting)
        answering.set()
        await asyncio.sleep(0.3)

        others = [got for got in receiver.got if got.id.startswith(first) is not (waiting == "second")]
        assert {got.path for got in others} == ({"/hook/new"} if ending == "replaced" else set())

    def answer(_: Got) -> Reply:
        answering.wait(5)
        return Reply()

    answering = threading.Event()
    with receiving(answer) as receiver:
        posting(story, timeout_s=5)
