"""The gate lets through what somebody may have said, and stops what nobody did."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_memory.work.gate import entropy, noise


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ok", "too short"),
        ("", "too short"),
        ("👍👍👍", "too short"),
        ("Yes, I do.", "small talk"),
        ("Good morning! How are you today?", ""),
        ("Hi there, how are you?", "small talk"),
        ("Thank you so much!", "small talk"),
        ("I am a vegetarian.", ""),
        ("Call me Al, please.", ""),
        ("私は東京に住んでいます", ""),
        ("Ich wohne jetzt in Köln.", ""),
        ("hahaha hahahaha hahahahahaha", "repeats itself"),
        ("id 1234 5678 value 9012 3456 7890 1234 5678 9012", "hardly any letters"),
        ("key " + base64.b64encode(bytes(range(200))).decode(), "not made of words"),
    ],
)
def test_texts_and_why_nothing_is_learned_from_them(text: str, why: str) -> None:
    assert noise(text) == why


def test_the_same_said_again_right_away_is_nothing_new() -> None:
    assert noise("I live in Oslo now.", before="I live in Oslo now. ") == "nothing new"
    assert noise("I live in Oslo now.", before="I live in Rome now.") == ""


@given(st.text(max_size=300), st.text(max_size=300))
def test_every_text_gets_an_answer(text: str, before: str) -> None:
    assert isinstance(noise(text, before=before), str)


def test_entropy_is_bits_per_character() -> None:
    assert (entropy(""), entropy("aaaa"), entropy("abab"), entropy("abcd")) == (0, 0, 1, 2)
