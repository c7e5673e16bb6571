"""The suite at the behaviour agent itself: the runner finds nothing wrong where nothing is between.

It says whether a failure behind the kernel is the kernel's, so it need not run each time.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance import acts, deviations, specials
from tests.conformance.doors import Address, Door, Grpc, JsonRpc, Rest
from tests.conformance.processes import AgentProcess
from tests.conformance.runner import Run

pytestmark = pytest.mark.long

TESTS = acts.load()
DOORS: dict[str, type[Door]] = {acts.JSONRPC: JsonRpc, acts.REST: Rest, acts.GRPC: Grpc}
NOT_ALONE = {*specials.KEYS, "CORE-CTX-001"}
"""What the agent leaves to whoever stands before it: keys, and the validation of ids."""


def cases(*, all_on: bool) -> list[object]:
    """Return each server test at each of its bindings."""
    has = {**dict.fromkeys(acts.CAPABILITIES, all_on), "authentication": False}
    return [
        pytest.param(test, binding, id=f"{test.id}-{binding}-{'on' if all_on else 'off'}")
        for test in TESTS
        if not test.client_only and test.fits(has) and test.id not in NOT_ALONE
        for binding in test.transports
    ]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """The agent with every capability."""
    with AgentProcess(tmp_path_factory.mktemp("agent"), bindings="jsonrpc,rest,grpc", long_s=1.2) as agent:
        yield agent


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """The agent without any."""
    folder: Path = tmp_path_factory.mktemp("agent")
    with AgentProcess(folder, bindings="jsonrpc,rest,grpc", capabilities="none", long_s=1.2) as agent:
        yield agent


def run(test: acts.Test, binding: str, agent: AgentProcess) -> None:
    door = DOORS[binding](Address(agent.url, grpc=f"127.0.0.1:{agent.grpc_port}"))
    run = Run(
        test,
        door,
        variables={"webhookUrl": f"{agent.url}/webhook", "insufficientAuthToken": "", "otherUserTaskId": ""},
        patched=deviations.patches(test.id),
    )
    try:
        run.run()
    finally:
        door.close()


@pytest.mark.skipif(not TESTS, reason=acts.ABSENT)
@pytest.mark.parametrize(("test", "binding"), cases(all_on=True))
def test_an_agent_with_all_capabilities(test: acts.Test, binding: str, rich: AgentProcess) -> None:
    run(test, binding, rich)


@pytest.mark.skipif(not TESTS, reason=acts.ABSENT)
@pytest.mark.parametrize(("test", "binding"), cases(all_on=False))
def test_an_agent_without_capabilities(test: acts.Test, binding: str, plain: AgentProcess) -> None:
    run(test, binding, plain)
