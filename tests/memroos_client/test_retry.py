import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_client.call import Call
from memroos_client.errors import ClientError, ProblemError, UnexpectedAnswer, Unreachable
from memroos_client.retry import Retries, is_passing, is_repeatable


def problem(status: int, retry_after_s: float | None = None) -> ProblemError:
    return ProblemError(slug="x", title="x", status=status, detail="x", retry_after_s=retry_after_s)


@pytest.mark.parametrize(
    ("method", "key", "repeatable"),
    [("GET", None, True), ("POST", None, False), ("POST", "k", True), ("PATCH", None, False), ("DELETE", None, False)],
)
def test_only_reads_and_calls_with_a_key_are_repeatable(method: str, key: str | None, repeatable: bool) -> None:
    call: Call[None] = Call(method=method, path="/", returns=None, idempotency_key=key)

    assert is_repeatable(call) is repeatable


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (Unreachable("http://x", "gone"), True),
        (problem(503), True),
        (problem(429), True),
        (problem(500), False),
        (problem(404), False),
        (problem(507), False),
        (UnexpectedAnswer("?"), False),
    ],
)
def test_only_what_may_pass_is_waited_out(error: ClientError, passing: bool) -> None:
    assert is_passing(error) is passing


@given(st.integers(0, 50))
def test_pauses_grow_to_a_limit_and_then_end(attempt: int) -> None:
    pause = Retries(most=20, first_s=0.1, longest_s=2).pause_s(attempt)

    if attempt >= 20:
        assert pause is None
    else:
        assert pause is not None
        assert min(0.1 * 2**attempt, 2) / 2 <= pause <= min(0.1 * 2**attempt, 2)


def test_the_kernel_is_not_asked_again_before_it_says() -> None:
    pause = Retries(first_s=0.1).pause_s(0, problem(503, retry_after_s=7))

    assert pause is not None
    assert 7 <= pause <= 7.1


def test_a_kernel_that_asks_for_too_long_a_pause_is_not_waited_for() -> None:
    assert Retries(patience_s=30).pause_s(0, problem(429, retry_after_s=31)) is None


def test_without_repeats_the_first_failure_is_the_last() -> None:
    assert Retries(most=0).pause_s(0, problem(503)) is None
