"""A kernel that goes away and comes back only costs the demo time."""

import io
from collections.abc import Callable

import httpx
import pytest

from memroos.demo import kernel as module
from memroos.demo.kernel import Kernel
from memroos.demo.stage import Stage
from memroos_client import Client, ProblemError, Retries, Unreachable
from memroos_client.calls import workspaces

LISTING = workspaces.listing()
EMPTY = httpx.Response(200, json={"items": [], "next_cursor": None})


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def kernel(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kernel]:
    """Return a kernel that answers with these, one after the other."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)

    def make(*answers: httpx.Response | Exception) -> Kernel:
        rest = iter(answers)

        def answer(_: httpx.Request) -> httpx.Response:
            item = next(rest)
            if isinstance(item, Exception):
                raise item
            return item

        client = Client("http://kernel.test", "k", retries=Retries(most=0), transport=httpx.MockTransport(answer))
        return Kernel(client, Stage(out))

    return make


def test_a_restart_is_waited_for_and_mentioned_once(kernel: Callable[..., Kernel], out: io.StringIO) -> None:
    gone = httpx.ConnectError("nobody")

    page = kernel(gone, gone, httpx.Response(503), EMPTY, EMPTY).run(LISTING)

    assert page.items == []
    assert out.getvalue().count("does not answer") == 1
    assert out.getvalue().count("it is back") == 1


def test_a_kernel_that_is_only_busy_is_not_called_gone(kernel: Callable[..., Kernel], out: io.StringIO) -> None:
    kernel(httpx.Response(503), EMPTY).run(LISTING)

    assert out.getvalue() == ""


def test_a_refusal_is_not_repeated(kernel: Callable[..., Kernel]) -> None:
    with pytest.raises(ProblemError):
        kernel(httpx.Response(401), EMPTY).run(LISTING)


def test_patience_ends(kernel: Callable[..., Kernel]) -> None:
    impatient = kernel(httpx.ConnectError("nobody"))
    impatient.patience_s = 0

    with pytest.raises(Unreachable):
        impatient.run(LISTING)
