import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_client.sse import Decoder, ServerSentEvent


def read(*pieces: bytes, last_event_id: str = "") -> list[ServerSentEvent]:
    decoder = Decoder(last_event_id)
    return [event for piece in pieces for event in decoder.feed(piece)]


def test_a_message_has_its_type_its_data_and_its_id() -> None:
    assert read(b'id: 7\nevent: task.created\ndata: {"a":1}\n\n') == [ServerSentEvent("task.created", b'{"a":1}', "7")]


def test_lines_of_data_are_joined() -> None:
    assert read(b"data: one\ndata: two\n\n") == [ServerSentEvent("message", b"one\ntwo", "")]


def test_the_id_stays_until_the_next_one() -> None:
    assert [event.id for event in read(b"id: 1\ndata: a\n\ndata: b\n\n", last_event_id="0")] == ["1", "1"]


def test_a_keep_alive_may_move_the_position() -> None:
    assert read(b": keep-alive\nid: 9\n\n") == [ServerSentEvent("message", b"", "9")]


def test_only_a_complete_message_counts() -> None:
    assert read(b"id: 1\ndata: half") == []


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85"])
def test_what_python_takes_for_a_line_end_may_stand_in_data(character: str) -> None:
    assert read(f"data: a{character}b\n\n".encode()) == [ServerSentEvent("message", f"a{character}b".encode(), "")]


def test_an_id_with_a_null_and_unknown_fields_are_ignored() -> None:
    assert read(b"id: 1\0\nretry: 5\nnonsense\ndata:x\n\n") == [ServerSentEvent("message", b"x", "")]


@given(st.sampled_from([b"\n", b"\r", b"\r\n"]), st.lists(st.integers(0, 60), max_size=10))
def test_it_does_not_matter_where_pieces_and_lines_end(end: bytes, cuts: list[int]) -> None:
    text = end.join([b"id: 1", b"event: a", b"data: one", b"", b": quiet", b"", b"data: two", b"data: three", b"", b""])
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[start:stop] for start, stop in itertools.pairwise(places)]

    events = read(*pieces, b"\n")

    assert [event for event in events if event.data] == [
        ServerSentEvent("a", b"one", "1"),
        ServerSentEvent("message", b"two\nthree", "1"),
    ]
