"""What becomes of a message, over all inputs."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from memroos.bus import rules
from memroos_contracts.bus import InboxState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INSTANTS = st.none() | st.integers(-100, 100).map(lambda seconds: NOW + timedelta(seconds=seconds))


@given(st.integers(1, 10), st.integers(1, 10), INSTANTS, INSTANTS)
def test_a_message_that_comes_back_is_offered_again_dead_or_too_late(
    attempts: int, max_attempts: int, expires_at: datetime | None, not_before: datetime | None
) -> None:
    verdict = rules.decide_return(
        attempts=attempts,
        max_attempts=max_attempts,
        expires_at=expires_at,
        now=NOW,
        not_before=not_before,
        reason="no",
    )
    if attempts >= max_attempts:
        assert verdict.state is InboxState.DEAD
    elif expires_at is not None and expires_at <= NOW:
        assert verdict.state is InboxState.EXPIRED
    else:
        assert verdict.state is InboxState.QUEUED
        assert verdict.not_before is None or verdict.not_before == not_before
        assert (verdict.not_before is not None) == (not_before is not None and not_before > NOW)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_rest_is_never_longer_than_five_minutes_nor_shorter_than_half_its_length(attempt: int, jitter: float) -> None:
    rest = rules.backoff(attempt, jitter)
    longest = rules.backoff(attempt, 0)
    assert longest / 2 <= rest <= longest <= timedelta(minutes=5)
    assert longest <= rules.backoff(attempt + 1, 0)


@given(st.text(max_size=40), st.integers(1, 100))
def test_jitter_is_the_same_each_time_and_between_nought_and_one(message: str, attempt: int) -> None:
    assert 0 <= rules.jitter_of(message, attempt) == rules.jitter_of(message, attempt) <= 1


def test_jitter_differs_between_messages_and_between_attempts() -> None:
    assert len({rules.jitter_of(f"msg_{n}", attempt) for n in range(50) for attempt in range(1, 5)}) == 200


@given(st.sampled_from(InboxState), st.integers(1, 3), st.integers(1, 3), INSTANTS)
def test_only_the_current_token_holds_a_lease_and_only_until_it_ends(
    state: InboxState, fencing_token: int, given_token: int, lease_until: datetime | None
) -> None:
    holds = rules.holds_lease(
        state=state, fencing_token=fencing_token, given=given_token, lease_until=lease_until, now=NOW
    )
    assert holds == (
        state is InboxState.LEASED and fencing_token == given_token and lease_until is not None and lease_until > NOW
    )


@given(INSTANTS)
def test_a_rest_ends_when_something_is_due_and_is_never_nothing(due: datetime | None) -> None:
    longest = timedelta(seconds=5)
    rest = rules.rest_until(due, now=NOW, longest=longest)
    assert rules.SHORTEST_REST <= rest <= longest
    if due is not None and NOW + rules.SHORTEST_REST <= due <= NOW + longest:
        assert NOW + rest == due


def test_only_agents_have_an_inbox() -> None:
    assert rules.author_agent("agent:agt_1") == "agt_1"
    for sender in ("operator:key_1", "service:kernel", "agent:", ""):
        assert rules.author_agent(sender) is None
