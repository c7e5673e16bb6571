import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_contracts.errors import ErrorKind, TooManyRequests
from memroos_kit.limits import RateLimiter, StreamSlots


class Ticker:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_burst_passes_and_the_next_request_waits() -> None:
    limiter = RateLimiter(per_minute=60, burst=3, monotonic=Ticker())
    for _ in range(3):
        limiter.take("key_a")

    with pytest.raises(TooManyRequests) as refused:
        limiter.take("key_a")

    assert refused.value.kind is ErrorKind.LIMITED
    assert refused.value.retry_after_s == 1


def test_waiting_as_told_is_enough() -> None:
    clock = Ticker()
    limiter = RateLimiter(per_minute=6, burst=2, monotonic=clock)
    limiter.take("key_a", tokens=2)
    with pytest.raises(TooManyRequests) as refused:
        limiter.take("key_a", tokens=2)

    assert refused.value.retry_after_s == 20
    clock.seconds += 20
    limiter.take("key_a", tokens=2)


def test_a_refused_attempt_takes_nothing() -> None:
    clock = Ticker()
    limiter = RateLimiter(per_minute=60, burst=1, monotonic=clock)
    limiter.take("key_a")
    for _ in range(100):
        with pytest.raises(TooManyRequests):
            limiter.take("key_a")

    clock.seconds += 1
    limiter.take("key_a")


def test_one_key_does_not_slow_another() -> None:
    limiter = RateLimiter(per_minute=60, burst=1, monotonic=Ticker())
    limiter.take("key_a")
    limiter.take("key_b")


def test_keys_that_went_quiet_are_forgotten() -> None:
    clock = Ticker()
    limiter = RateLimiter(per_minute=60, burst=1, monotonic=clock)
    for number in range(1_024):
        limiter.take(f"key_{number}")
    clock.seconds += 2

    limiter.take("key_new")

    assert len(limiter) == 1


def test_taking_more_than_the_bucket_holds_is_a_programming_mistake() -> None:
    with pytest.raises(ValueError, match="more tokens"):
        RateLimiter(per_minute=60, burst=2, monotonic=Ticker()).take("key_a", tokens=3)
    with pytest.raises(ValueError, match="at least 1"):
        RateLimiter(per_minute=0, burst=2)


@given(
    per_minute=st.integers(1, 6_000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=80),
)
def test_no_rhythm_gets_more_than_burst_plus_rate(per_minute: int, burst: int, pauses: list[float]) -> None:
    clock = Ticker()
    limiter = RateLimiter(per_minute=per_minute, burst=burst, monotonic=clock)
    start, taken = clock.seconds, 0
    for pause in pauses:
        clock.seconds += pause
        try:
            limiter.take("key_a")
        except TooManyRequests:
            continue
        taken += 1
        assert taken <= burst + (clock.seconds - start) * per_minute / 60 + 1e-6


def test_a_stream_beyond_the_limit_is_refused_until_one_ends() -> None:
    slots = StreamSlots(per_key=2)
    with slots.hold("key_a"), slots.hold("key_b"):
        with slots.hold("key_a"), pytest.raises(TooManyRequests, match="2 streams open"), slots.hold("key_a"):
            pass
        assert (slots.count("key_a"), slots.total()) == (1, 2)
        with slots.hold("key_a"):
            pass
    assert slots.total() == 0


def test_a_stream_that_breaks_gives_its_slot_back() -> None:
    slots = StreamSlots(per_key=1)
    with pytest.raises(RuntimeError), slots.hold("key_a"):
        raise RuntimeError

    assert slots.count("key_a") == 0
