import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from memroos_kit import log
from memroos_kit.settings import Secret

KEY = "mr_agent_01jabcdefghjkmnpqrstvwxyz0_c2VjcmV0LXZhbHVl0a1b2c"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = before, level
    structlog.reset_defaults()
    for name in log._QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)


def written(form: log.Format = "json", *, level: log.Level = "info") -> io.StringIO:
    stream = io.StringIO()
    log.configure(process="kernel", level=level, form=form, stream=stream)
    return stream


def raised(text: str) -> RuntimeError:
    """Return an error that was really raised, so that it has a traceback."""
    with pytest.raises(RuntimeError) as found:
        raise RuntimeError(text)
    return found.value


def entry(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_an_entry_is_one_json_line_with_time_level_logger_and_process() -> None:
    stream = written()

    log.get("memroos.bus").info("message.sent", size=3, to=["agt_1"])

    found = entry(stream)
    assert found.pop("at").endswith("Z")
    assert found == {
        "event": "message.sent",
        "level": "info",
        "logger": "memroos.bus",
        "process": "kernel",
        "size": 3,
        "to": ["agt_1"],
    }


def test_entries_of_the_standard_library_take_the_same_way() -> None:
    stream = written()

    logging.getLogger("uvicorn.error").warning("listening on %s with %s", "\x1b[31mhost\n", KEY)

    found = entry(stream)
    assert found["event"] == r"listening on \x1b[31mhost\x0a with mr_agent_***"
    assert (found["level"], found["logger"], found["process"]) == ("warning", "uvicorn.error", "kernel")


def test_less_severe_entries_are_left_out() -> None:
    stream = written(level="warning")

    log.get("a").info("no")
    logging.getLogger("b").info("no")
    log.get("a").warning("yes")

    assert entry(stream)["event"] == "yes"


def test_libraries_that_log_every_request_only_warn() -> None:
    stream = written(level="debug")

    logging.getLogger("httpx").info("HTTP Request: GET http://x/?token=abc")

    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "password",
        "secret",
        "token",
        "api_key",
        "push_token",
        "x-api-key",
        "Set-Cookie",
    ],
)
def test_the_value_of_a_secret_name_is_never_written(name: str) -> None:
    stream = written()

    log.get("a").info("called", **{name: "open sesame"}, headers={name: ["open sesame"]})

    assert "sesame" not in stream.getvalue()
    assert entry(stream)[name] == "***"


def test_counts_of_tokens_are_no_secret() -> None:
    stream = written()

    log.get("a").info("answered", budget_tokens=300, tokens=12)

    assert (entry(stream)["budget_tokens"], entry(stream)["tokens"]) == (300, 12)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"key {KEY} is odd",
        f"Authorization: Bearer {KEY}",
        "Authorization: Bearer c2VjcmV0LXZhbHVl",
        "GET /x?api_key=c2VjcmV0LXZhbHVl&y=1",
        "{'password': 'c2VjcmV0LXZhbHVl'}",
        "Token(secret=b'c2VjcmV0LXZhbHVl')",
        "postgresql://memroos:c2VjcmV0LXZhbHVl@db/memroos",
    ],
)
def test_a_secret_inside_text_is_cut_out_wherever_it_stands(text: str) -> None:
    stream = written()

    log.get("a").info(text, note=text, nested=[{"deep": (text,)}], raw=text.encode())
    log.get("a").error("failed", exc_info=raised(text))

    assert "c2VjcmV0" not in stream.getvalue()


def test_a_secret_setting_does_not_print() -> None:
    stream = written()

    log.get("a").info("started", operator=Secret("open sesame"))

    assert "sesame" not in stream.getvalue()


HOSTILE = [
    "x\n2026-01-01T00:00:00Z [info] operator signed in",
    'x\r\n{"event": "forged"}',
    "x\x1b[2J\x1b[31mred",
    "x\x9b31m",
    "x\u2028forged\u2029forged\x85forged",
    "x\u202etxt.exe",
    "x\x00\x07\x08\x7f",
    "x\u200bzero\ufeffwidth",
    "x\ud800",
]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_stays_on_its_line_and_is_shown_not_obeyed(text: str, form: log.Format) -> None:
    stream = written(form)

    log.get("a").info(text, **{text: text}, inner={text: [text]})

    found = stream.getvalue()
    assert found.count("\n") == 1
    assert found.endswith("\n")
    assert len(found.splitlines()) == 1
    assert not log._UNPRINTABLE.search(found[:-1])


@pytest.mark.parametrize("text", HOSTILE)
def test_the_lines_of_a_traceback_cannot_pass_for_entries(text: str) -> None:
    stream = written("console")

    log.get("a").error("failed", exc_info=raised(text))

    first, *rest = stream.getvalue().splitlines()
    assert "failed" in first
    assert rest
    assert all(line.startswith("  | ") and not log._UNPRINTABLE.search(line) for line in rest)


def test_a_traceback_in_json_is_one_line_that_names_the_error() -> None:
    stream = written()

    logging.getLogger("uvicorn.error").error("failed", exc_info=raised("no room"))

    assert "RuntimeError: no room" in entry(stream)["exception"]


@given(st.text())
def test_cleaned_text_has_no_unprintable_character_and_cleaning_again_changes_nothing(text: str) -> None:
    once = log.clean_text(text)

    assert not log._UNPRINTABLE.search(once)
    assert log.clean_text(once) == once


def test_huge_and_deep_values_are_cut() -> None:
    stream = written()
    deep: Any = "bottom"
    for _ in range(50):
        deep = [deep]

    log.get("a").info("big", text="x" * 1_000_000, many=list(range(10_000)), deep=deep)

    assert len(stream.getvalue()) < 20_000
    assert "(1000000 characters)" in entry(stream)["text"]


def test_people_get_lines_without_colours_where_there_is_no_terminal() -> None:
    stream = written("console")

    log.get("memroos.bus").info("message.sent", size=3)

    assert "message.sent" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_auto_means_json_where_there_is_no_terminal() -> None:
    stream = written("auto")

    log.get("a").info("x")

    assert entry(stream)["event"] == "x"
