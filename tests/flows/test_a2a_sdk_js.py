"""A program built with the official JavaScript SDK of A2A, over every binding; where Node.js is there."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.flows.kernel import Kernel

HOME = Path(__file__).parents[1] / "conformance" / "js_sdk"
INSTALL_S = 300

pytestmark = pytest.mark.long


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the SDK installed as the lock file has it."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("Node.js and npm are not there")
    wanted = (HOME / "package-lock.json").read_bytes()
    mark = HOME / "node_modules" / ".installed"
    if not mark.exists() or mark.read_bytes() != wanted:
        install = [npm, "ci", "--ignore-scripts", "--silent"]
        done = subprocess.run(install, cwd=HOME, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode != 0:
            if any(word in done.stderr for word in ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN")):
                pytest.skip("no package registry is reachable")
            pytest.fail(f"the SDK cannot be installed:\n{done.stdout}\n{done.stderr}")
        mark.write_bytes(wanted)
    return found


@pytest.mark.timeout(INSTALL_S + 60)
@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])
def test_a_client_in_javascript_is_served_over_every_binding(
    kernel: Kernel, node: str, working: str, binding: str
) -> None:
    caller = kernel.create_agent(f"js-{binding.lower().replace('+', '-')}")

    done = subprocess.run(
        [node, str(HOME / "client.mjs"), kernel.url, caller.key, binding, working],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    prefix = {"JSONRPC": "JsonRpc", "HTTP+JSON": "Rest", "GRPC": "Grpc"}[binding]
    assert seen == {
        "binding": binding,
        "version": "1.0",
        "send": {"state": "TASK_STATE_COMPLETED", "history": [["hello"]], "artifacts": [["hello"]]},
        "get": {"state": "TASK_STATE_COMPLETED", "history": [["hello"]], "artifacts": [["hello"]]},
        "newest": {"state": "TASK_STATE_COMPLETED", "history": [], "artifacts": [["hello"]]},
        "list": [True],
        "stream": ["task", "statusUpdate", "statusUpdate", "artifactUpdate", "artifactUpdate", "statusUpdate"],
        "turns": ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED", True],
        "cancel": ["task", "TASK_STATE_CANCELED", "TASK_STATE_CANCELED"],
        "missing": f"{prefix}TaskNotFoundError",
        "final": f"{prefix}UnsupportedOperationError",
        "stranger": seen["stranger"],
    }
    assert seen["stranger"] != "nothing was refused"
