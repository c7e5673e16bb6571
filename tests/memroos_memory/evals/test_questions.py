from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from memroos_memory.evals import questions

SAMPLE: dict[str, Any] = {
    "sample_id": "conv-1",
    "conversation": {
        "speaker_a": "Ann",
        "session_2": [{"speaker": "Bo", "dia_id": "D2:1", "text": "Look.", "blip_caption": "a photo of a cat"}],
        "session_2_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [{"speaker": "Ann", "dia_id": "D1:1", "text": "Hello."}],
    },
    "qa": [
        {"question": "Who greets?", "category": 4, "evidence": ["D1:1"], "answer": 3},
        {"question": "Both?", "category": 1, "evidence": ["D1:1; D2:1", "D9:9"]},
        {"question": "Nowhere", "category": 5, "evidence": ["D7:7", ""]},
    ],
}


def write(folder: Path, content: Any) -> Path:
    path = folder / "asked.json"
    path.write_bytes(msgspec.json.encode(content))
    return path


def test_sessions_come_in_their_order_with_their_day_and_what_was_on_the_pictures(tmp_path: Path) -> None:
    file = questions.load(write(tmp_path, [SAMPLE]))

    (conversation,) = file.conversations
    assert (file.name, file.turns, len(file.digest)) == ("asked", 2, 64)
    assert [(turn.id, turn.text) for turn in conversation.turns] == [
        ("D1:1", "Hello."),
        ("D2:1", "Look. a photo of a cat"),
    ]
    assert [session.at for session in conversation.sessions] == [None, datetime(2023, 5, 8, 13, 56, tzinfo=UTC)]


def test_evidence_that_names_no_turn_is_dropped_and_a_question_without_any_left_out(tmp_path: Path) -> None:
    (conversation,) = questions.load(write(tmp_path, [SAMPLE])).conversations

    assert [(one.text, one.category, one.gold) for one in conversation.questions] == [
        ("Who greets?", "single-hop", frozenset({"D1:1"})),
        ("Both?", "multi-hop", frozenset({"D1:1", "D2:1"})),
    ]


@pytest.mark.parametrize("content", [{}, [{"qa": []}], [SAMPLE | {"conversation": {"session_1": 3}}], "text"])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(questions.QuestionFileInvalid, match=r"asked\.json is no question file"):
        questions.load(write(tmp_path, content))


def test_a_day_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    conversation = SAMPLE["conversation"] | {"session_2_date_time": "some day"}

    with pytest.raises(questions.QuestionFileInvalid, match="some day"):
        questions.load(write(tmp_path, [SAMPLE | {"conversation": conversation}]))
