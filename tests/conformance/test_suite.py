"""The declarative suite through the kernel: the behaviour agent is a remote agent, its callers have the kernel's keys.

Every server test over JSON-RPC and HTTP+JSON, and over gRPC where a test names it; with all capabilities on and with
all off. What is judged otherwise than the suite has it stands in `deviations`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from tests.conformance import acts, deviations, specials
from tests.conformance.doors import Address, Door, Grpc, JsonRpc, Rest
from tests.conformance.processes import AgentProcess
from tests.conformance.receiver import Receiver
from tests.conformance.runner import Run
from tests.flows.kernel import Kernel

TESTS = acts.load()
DOORS: dict[str, type[Door]] = {acts.JSONRPC: JsonRpc, acts.REST: Rest, acts.GRPC: Grpc}
NAME = "behaviours"


@dataclass(frozen=True)
class Ground:
    """A kernel with the agent behind it, and those who call."""

    address: Address
    stranger: Address
    poor_key: str
    receiver: Receiver


def cases(*, all_on: bool) -> list[object]:
    """Return each server test at each of its bindings."""
    has = {**dict.fromkeys(acts.CAPABILITIES, all_on), "authentication": True}
    return [
        pytest.param(test, binding, id=f"{test.id}-{binding}-{'on' if all_on else 'off'}")
        for test in TESTS
        if not test.client_only and test.fits(has)
        for binding in test.transports
    ]


def prepared(folder: Path, *, all_on: bool) -> Iterator[Ground]:
    """Start the agent, the kernel and the webhook, and register the agent by its card."""
    offers = dict.fromkeys(("streaming", "push_notifications", "extended_agent_card"), all_on)
    with (
        Receiver() as receiver,
        AgentProcess(folder, capabilities="all" if all_on else "none", long_s=1.2) as agent,
        Kernel(folder / "kernel", settings={"outbound_allow": "127.0.0.1", "remote_poll_s": "0.1"}) as kernel,
    ):
        kernel.done("POST", "/api/remote-agents", {"card_url": agent.card_url, "name": NAME, "capabilities": offers})
        caller, stranger = kernel.create_agent("caller"), kernel.create_agent("stranger")
        path = f"{kernel.url}/a2a/agents/{NAME}"
        yield Ground(
            Address(path, grpc=kernel.grpc_address, tenant=NAME, key=caller.key),
            Address(path, grpc=kernel.grpc_address, tenant=NAME, key=stranger.key),
            kernel.create_key("auditor"),
            receiver,
        )


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """All capabilities on."""
    yield from prepared(tmp_path_factory.mktemp("rich"), all_on=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """All capabilities off."""
    yield from prepared(tmp_path_factory.mktemp("plain"), all_on=False)


def run(test: acts.Test, binding: str, ground: Ground) -> None:
    door = DOORS[binding](ground.address)
    hook = f"/hook/{uuid4()}"
    variables = {
        "webhookUrl": f"{ground.receiver.url}{hook}",
        "insufficientAuthToken": ground.poor_key,
        "otherUserTaskId": of_a_stranger(binding, ground) if test.id == "SEC-AUTH-003" else "",
    }
    keys = specials.KEYS.get(test.id)
    run = Run(test, door, variables=variables, keys=keys, patched=deviations.patches(test.id))
    try:
        run.run()
        specials.after(run, ground.receiver, hook)
    finally:
        door.close()


def of_a_stranger(binding: str, ground: Ground) -> str:
    """Return the id of a task that somebody else started."""
    door = DOORS[binding](ground.stranger)
    message = {"role": "ROLE_USER", "parts": [{"text": "tck-complete-task of somebody else"}]}
    made = door.call("send_message", {"message": message})
    door.close()
    return str(made.body["task"]["id"])


@pytest.mark.skipif(not TESTS, reason=acts.ABSENT)
@pytest.mark.parametrize(("test", "binding"), cases(all_on=True))
def test_through_the_kernel_with_all_capabilities(test: acts.Test, binding: str, rich: Ground) -> None:
    run(test, binding, rich)


@pytest.mark.skipif(not TESTS, reason=acts.ABSENT)
@pytest.mark.parametrize(("test", "binding"), cases(all_on=False))
def test_through_the_kernel_without_capabilities(test: acts.Test, binding: str, plain: Ground) -> None:
    run(test, binding, plain)
