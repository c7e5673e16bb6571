"""Requests that nobody sends by mistake, against a real kernel: none breaks it, none comes round the front door."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.flows.kernel import Kernel

from memroos_kit import cursors


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "data").mkdir(mode=0o755)  # as an operator may have made it
    with Kernel(folder) as kernel:
        yield kernel


@pytest.fixture
def http(kernel: Kernel) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {kernel.operator_key}"}
    with httpx.Client(base_url=kernel.url, headers=headers, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/healthz", "/problems/not-found", "/api/agents", "/api/tasks/x/cancel"])
def test_asking_which_methods_an_address_takes_breaks_nothing(http: httpx.Client, path: str) -> None:
    answer = http.options(path)

    assert (answer.status_code, "OPTIONS" in answer.headers["allow"]) == (204, True)


def test_asking_so_needs_a_key_where_the_address_does(kernel: Kernel) -> None:
    assert httpx.options(f"{kernel.url}/api/agents", trust_env=False).status_code == 401


def test_a_request_with_two_keys_is_nobodys(kernel: Kernel) -> None:
    key = f"Bearer {kernel.operator_key}"
    for pair in ([key, "Bearer other"], ["Bearer other", key], [key, key]):
        answer = httpx.get(
            f"{kernel.url}/api/agents", headers=[("Authorization", one) for one in pair], trust_env=False
        )
        assert answer.status_code == 401


@pytest.mark.parametrize("values", [[], [{}], [None], [10**30], ["x", "y"]])
def test_a_cursor_that_a_caller_wrote_itself_is_refused(http: httpx.Client, values: list[object]) -> None:
    for path, kind in (("/api/approvals", "approvals"), ("/api/agent-context/dead", "dead")):
        answer = http.get(path, params={"cursor": cursors.encode(cursors.listing(kind), *values)})
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-cursor"), path


@pytest.mark.parametrize("after", [2**63, 10**30, -(2**63) - 1])
def test_a_number_that_no_table_holds_is_no_failure(http: httpx.Client, after: int) -> None:
    assert http.get("/api/audit", params={"after": after}).status_code == 200


def test_nobody_else_on_the_machine_reads_the_database(kernel: Kernel) -> None:
    files = [Path(f"{kernel.database}{suffix}") for suffix in ("", "-wal", "-shm")]

    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * 3


def test_nothing_of_this_was_the_kernels_own_mistake(kernel: Kernel) -> None:
    assert "request.failed" not in kernel.log()
