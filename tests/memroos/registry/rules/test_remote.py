from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos.registry import rules
from memroos.registry.rules.remote import FIRST_PAUSE_S, LONGEST_PAUSE_S
from memroos_contracts.registry import Breaker, Credential

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@given(st.integers(5, 86_400), st.integers(0, 10_000), st.floats(0, 1))
def test_the_next_look_is_never_later_than_the_interval_and_a_tenth_nor_at_once(
    interval_s: int, failures: int, chance: float
) -> None:
    wait_s = rules.until_next_look(interval_s, failures, chance).total_seconds()

    assert 4.5 <= wait_s <= interval_s * 1.1 + 1e-6


@given(st.integers(0, 10_000))
def test_a_pause_grows_with_failures_up_to_its_end(failures: int) -> None:
    pause, longer = rules.pause_after(failures), rules.pause_after(failures + 1)

    if pause is None:
        assert failures < rules.BREAKER_AFTER
        return
    assert longer is not None
    assert timedelta(seconds=FIRST_PAUSE_S) <= pause <= longer <= timedelta(seconds=LONGEST_PAUSE_S)


def test_after_the_pause_one_try_decides() -> None:
    assert rules.decide_breaker(None, NOW) is Breaker.CLOSED
    assert rules.decide_breaker(NOW + timedelta(microseconds=1), NOW) is Breaker.OPEN
    assert rules.decide_breaker(NOW, NOW) is Breaker.HALF_OPEN


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example/x?y", "https://a.example:443"),
        ("http://A.example:80/", "http://a.example:80"),
        ("https://a.example:8443", "https://a.example:8443"),
        ("a.example:7710", "http://a.example:7710"),
        ("http://[::1]:7/", "http://::1:7"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert rules.origin(url) == origin


@given(st.text())
def test_what_others_say_is_shown_short_and_harmless(text: str) -> None:
    shown = rules.shown(text)

    assert len(shown) <= 500
    assert shown.isprintable()


@given(st.text(max_size=120))
def test_a_name_made_from_a_title_is_a_name_or_nothing(title: str) -> None:
    name = rules.name_from(title)

    assert name == "" or rules.is_name(name)


@given(st.text(min_size=1, max_size=50), st.text(max_size=20), st.text(max_size=20))
def test_no_credential_that_passes_can_break_out_of_its_header(value: str, scheme: str, header: str) -> None:
    if rules.problems_of_remote(Credential(value=value, scheme=scheme, header=header), (), lambda _: ""):
        return
    assert all(" " <= character <= "~" for character in value + scheme + header)
    assert ":" not in header
    assert header.lower() not in {"host", "content-length", "transfer-encoding"}
