"""What the headers of a call say, whatever they say."""

from collections.abc import Callable, Sequence

import pytest
from a2a.utils import errors as sdk
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from tests.actors import OPERATOR

from memroos.web.a2a.context import ACTOR, AGENT, CALL, WAIT_MAX_S, Call, ContextBuilder, read_call


def values(**headers: str | list[str]) -> Callable[[str], Sequence[str]]:
    found = {name.replace("_", "-"): value for name, value in headers.items()}

    def get(name: str) -> list[str]:
        value = found.get(name, [])
        return [value] if isinstance(value, str) else value

    return get


def test_a_call_that_says_nothing_restricts_nothing() -> None:
    assert read_call(values(), version="1.0") == Call()


def test_every_broker_on_the_way_is_kept_in_order() -> None:
    call = read_call(values(via=["1.1 one, 1.1 two", "", "2 three (a comment)"]), version="1.0")

    assert call.via == ("1.1 one", "1.1 two", "2 three (a comment)")


@pytest.mark.parametrize(("said", "found"), [(["00-a"], "00-a"), ([], ""), (["00-a", "00-b"], "")])
def test_two_traces_are_none(said: list[str], found: str) -> None:
    assert read_call(values(traceparent=said), version="1.0").traceparent == found


@pytest.mark.parametrize(("said", "generation"), [('"3"', 3), ('"0"', 0), (' "12" ', 12), ("*", None), ("", None)])
def test_a_condition_names_a_generation(said: str, generation: int | None) -> None:
    call = read_call(values(if_match=said, if_none_match=said), version="1.0")

    assert (call.if_generation, call.unless_generation) == (generation, generation)


def test_a_weak_tag_may_be_waited_for_and_not_be_written_against() -> None:
    assert read_call(values(if_none_match='W/"3"'), version="1.0").unless_generation == 3
    with pytest.raises(sdk.InvalidParamsError):
        read_call(values(if_match='W/"3"'), version="1.0")


@pytest.mark.parametrize("said", ["3", '"x"', '"-1"', '"1", "2"', '"' + "9" * 30 + '"', '""'])
def test_a_condition_that_names_no_generation_is_refused(said: str) -> None:
    with pytest.raises(sdk.InvalidParamsError) as refused:
        read_call(values(if_match=said), version="1.0")

    assert refused.value.data is not None
    assert refused.value.data["errors"] == [{"field": "If-Match", "message": "is not one"}]


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        (["wait=10"], 10),
        (["respond-async, Wait = 5"], 5),
        (["handling=lenient", "wait=7"], 7),
        (["wait=999999"], WAIT_MAX_S),
        (["wait=soon"], 0),
        ([], 0),
    ],
)
def test_who_prefers_to_wait_says_how_long(said: list[str], wait_s: int) -> None:
    assert read_call(values(prefer=said), version="1.0").wait_s == wait_s


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_whatever_the_headers_say_they_are_read_or_refused(via: str, condition: str, prefer: str) -> None:
    try:
        call = read_call(values(via=via, if_none_match=condition, prefer=prefer), version="1.0")
    except sdk.InvalidParamsError:
        return
    assert 0 <= call.wait_s <= WAIT_MAX_S


def request(*headers: tuple[str, str], query: str = "", agent: str = "") -> Request:
    return Request(
        {
            "type": "http",
            "method": "POST",
            "path": "/a2a",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "path_params": {"agent": agent} if agent else {},
            "actor": OPERATOR,
        }
    )


def test_the_context_names_the_caller_the_endpoint_the_version_and_the_extensions() -> None:
    asked = request(
        ("a2a-extensions", "urn:a, urn:b"), ("x-a2a-extensions", "urn:c"), query="A2A-Version=1.0.9", agent="w"
    )

    context = ContextBuilder().build(asked)

    assert (context.state[ACTOR], context.state[AGENT], context.state[CALL].version) == (OPERATOR, "w", "1.0")
    assert context.state["headers"] == {"a2a-version": "1.0"}
    assert context.requested_extensions == {"urn:a", "urn:b", "urn:c"}
    assert context.user.user_name == OPERATOR.principal
    assert asked.scope["a2a_call"] is context.state[CALL]


def test_two_calls_do_not_share_what_took_effect() -> None:
    first, second = (ContextBuilder().build(request()).state[CALL] for _ in range(2))
    first.activated.append("urn:a")

    assert second.activated == []
