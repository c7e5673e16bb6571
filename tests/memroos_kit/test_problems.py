import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_contracts import errors
from memroos_contracts.errors import ErrorKind, MemroosError
from memroos_kit import problems


class TaskNotHeld(MemroosError):
    """The task is not waiting for an operator.

    Somebody else may have answered.

    Facts:
        task: the task's id.
        state: the state it is in now,
            on two lines.
    """

    kind = ErrorKind.CONFLICT


def test_an_error_becomes_a_problem_with_its_facts() -> None:
    found = problems.problem(TaskNotHeld("Task task_1 is queued.", task="task_1", state="queued"))

    assert msgspec.json.decode(found.body()) == {
        "type": "/problems/task-not-held",
        "title": "The task is not waiting for an operator",
        "status": 409,
        "detail": "Task task_1 is queued.",
        "task": "task_1",
        "state": "queued",
    }
    assert found.headers() == {"content-type": "application/problem+json"}


def test_every_kind_has_a_status_and_a_remedy() -> None:
    assert set(problems.STATUS) == set(ErrorKind)
    assert set(problems._KIND_IN_WORDS) == set(ErrorKind)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("malformed", 400),
        ("unauthenticated", 401),
        ("denied", 403),
        ("not_found", 404),
        ("conflict", 409),
        ("gone", 410),
        ("too_large", 413),
        ("invalid", 422),
        ("limited", 429),
        ("unavailable", 503),
        ("storage_full", 507),
    ],
)
def test_a_kind_is_said_as_its_status(kind: str, status: int) -> None:
    assert problems.STATUS[ErrorKind(kind)] == status


def test_waiting_time_goes_into_the_header() -> None:
    found = problems.problem(errors.TooManyRequests(retry_after_s=7))

    assert (found.status, found.headers()["retry-after"]) == (429, "7")


def test_a_missing_key_is_asked_for_as_http_does() -> None:
    assert problems.problem(errors.Unauthenticated()).headers()["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", ["type", "title", "status", "detail"])
def test_a_fact_cannot_take_the_place_of_a_standard_member(name: str) -> None:
    found = problems.Problem(type="/problems/x", title="X", status=409, detail="d", facts={name: "forged", "a": 1})

    assert found.members()[name] != "forged"
    assert found.members()["a"] == 1


@given(st.text(), st.dictionaries(st.from_regex(r"\A[a-z_]{1,12}\Z"), st.text() | st.integers(0, 9) | st.none()))
def test_any_detail_and_facts_make_valid_json(detail: str, facts: dict[str, str | int | None]) -> None:
    found = problems.Problem(type="/problems/x", title="X", status=409, detail=detail, facts={**facts})

    body = msgspec.json.decode(found.body())

    assert (body["status"], body["detail"]) == (409, detail)
    assert facts.keys() <= body.keys()


def test_a_docstring_explains_an_error() -> None:
    assert problems.explain(TaskNotHeld) == problems.Explanation(
        slug="task-not-held",
        title="The task is not waiting for an operator",
        status=409,
        remedy="look at the present state, then decide again",
        text="Somebody else may have answered.",
        facts={"task": "the task's id.", "state": "the state it is in now, on two lines."},
    )


def test_every_error_of_the_product_is_found_and_explained() -> None:
    found = problems.every_error()

    assert errors.NotFound in found
    assert problems.InternalFailure in found
    assert TaskNotHeld not in found
    assert MemroosError not in found
    assert [error.slug() for error in found] == sorted(error.slug() for error in found)
    for error in found:
        assert error.__doc__, f"{error} has no docstring"
        assert "`" not in error.title()


def test_two_errors_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class NotFound(MemroosError):
        """Another one."""

    monkeypatch.setattr(NotFound, "__module__", "memroos.elsewhere.errors")

    with pytest.raises(ValueError, match="not-found"):
        problems.every_error()
    monkeypatch.undo()


def test_the_reference_page_has_a_section_per_error() -> None:
    page = problems.render_reference([TaskNotHeld, errors.MalformedRequest])

    assert (
        "## task-not-held\n\nThe task is not waiting for an operator. Status 409: look at the present state, then "
        "decide again.\n\nSomebody else may have answered.\n\n- `task`: the task's id.\n"
        "- `state`: the state it is in now, on two lines.\n\n## malformed-request\n"
    ) in page
    assert page.endswith("Status 400: repair the form of the request.\n")
