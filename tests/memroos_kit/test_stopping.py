import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest

from memroos_kit.stopping import Stopping


def run(story: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 10))


async def never() -> int:
    await asyncio.Event().wait()
    return 1


def test_everybody_who_waits_is_woken_once() -> None:
    async def story() -> None:
        stopping, woken = Stopping(), []
        async with asyncio.TaskGroup() as group:
            group.create_task(stopping.wait())
            with stopping.calling(lambda: woken.append("a")):
                with stopping.calling(lambda: woken.append("gone")):
                    pass
                await asyncio.sleep(0)
                stopping.set()
                stopping.set()
        assert woken == ["a"]
        assert stopping.is_set()

    run(story)


def test_who_comes_too_late_is_called_at_once() -> None:
    stopping, woken = Stopping(), []
    stopping.set()

    with stopping.calling(lambda: woken.append("a")):
        assert woken == ["a"]


def test_a_wait_ends_with_the_process() -> None:
    async def story() -> None:
        stopping = Stopping()
        asyncio.get_running_loop().call_later(0.01, stopping.set)
        assert await stopping.first(never()) is None
        assert await stopping.first(never()) is None

    run(story)


def test_a_wait_ends_when_its_time_is_over() -> None:
    async def story() -> None:
        assert await Stopping().first(never(), timeout_s=0.01) is None

    run(story)


def test_a_wait_gives_what_came_in_time() -> None:
    async def story() -> None:
        assert await Stopping().first(asyncio.sleep(0.001, "message"), timeout_s=5) == "message"

    run(story)


def test_errors_of_what_is_waited_for_come_through() -> None:
    async def late() -> None:
        raise TimeoutError("its own")

    async def story() -> None:
        with pytest.raises(TimeoutError, match="its own"):
            await Stopping().first(late(), timeout_s=5)

    run(story)


def test_a_cancelled_waiter_is_cancelled_and_so_is_what_it_waits_for() -> None:
    async def story() -> None:
        ended = asyncio.Event()

        async def inner() -> None:
            try:
                await never()
            finally:
                ended.set()

        waiter = asyncio.ensure_future(Stopping().first(inner()))
        await asyncio.sleep(0.01)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert ended.is_set()

    run(story)


def test_a_stream_ends_with_the_process_and_its_source_is_closed() -> None:
    async def story() -> None:
        stopping, closed = Stopping(), []

        async def source() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
                await never()
            finally:
                closed.append(True)

        seen = []
        async for item in stopping.watch(source()):
            seen.append(item)
            if item == 2:
                asyncio.get_running_loop().call_later(0.01, stopping.set)
        assert (seen, closed) == ([1, 2], [True])

    run(story)


def test_a_stream_ends_with_its_source() -> None:
    async def source() -> AsyncIterator[int | None]:
        yield None
        yield 0

    async def story() -> None:
        assert [item async for item in Stopping().watch(source())] == [None, 0]

    run(story)
