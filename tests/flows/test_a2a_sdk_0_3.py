"""A program built with the official SDK of A2A 0.3, in an environment of its own, over every binding it has.

The environment is made once, from a hashed list, beside the project's own; it is left out only where no package
registry can be reached.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.flows.kernel import Kernel

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "tests" / "conformance" / "requirements-sdk-0.3.lock"
HOME = ROOT / ".venv-sdk-0.3"
PROGRAM = Path(__file__).parent / "sdk_0_3_client.py"
INSTALL_S = 600
_UNREACHABLE = ("connection", "resolution", "timed out", "No matching distribution", "network", "proxy")


@pytest.fixture(scope="session")
def python_0_3() -> Path:
    """The interpreter of an environment in which the SDK of 0.3 is installed."""
    python = HOME / "bin" / "python"
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    mark = HOME / "installed"
    if python.exists() and mark.exists() and mark.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True, capture_output=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(LOCK)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode != 0:
        if any(word.lower() in done.stderr.lower() for word in _UNREACHABLE):
            pytest.skip(f"no package registry is reachable: {done.stderr.strip().splitlines()[-1]}")
        pytest.fail(f"the SDK of 0.3 cannot be installed:\n{done.stderr}")
    mark.write_text(wanted)
    return python


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that would call a webhook."""
    with Kernel(tmp_path_factory.mktemp("kernel"), settings={"outbound_allow": "127.0.0.1"}) as running:
        yield running


@pytest.mark.timeout(INSTALL_S + 60)
@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])
def test_a_client_of_0_3_is_served_as_it_was_then(kernel: Kernel, python_0_3: Path, working: str, binding: str) -> None:
    caller = kernel.create_agent(f"old-{binding.lower().replace('+', '-')}")
    hook = "http://127.0.0.1:9/hook"

    done = subprocess.run(
        [str(python_0_3), str(PROGRAM), kernel.url, caller.key, binding, working, hook],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["card"] == {"version": "0.3", "streaming": True}
    assert seen["send"] == seen["get"] == {"state": "completed", "history": [["hello"]], "artifacts": [["hello"]]}
    assert seen["newest"]["history"] == [["hello"]]
    assert seen["stream"]["updates"][0] == "task"
    assert seen["stream"]["updates"][1:] == [
        "status-update",
        "status-update",
        "artifact-update",
        "artifact-update",
        "status-update",
    ]
    assert (seen["stream"]["state"], seen["stream"]["artifacts"]) == ("completed", [["one", "two"]])
    assert seen["turns"] == ["input-required", "completed", True]
    _, canceled, rest = seen["cancel"]
    assert canceled == "canceled"
    assert rest in (["canceled"], ["working", "canceled"])  # the agent may have begun before or after the subscription
    missing, final = {
        "JSONRPC": ("-32001", "-32004"),
        "HTTP+JSON": ("404", "501"),
        "GRPC": ("NOT_FOUND", "FAILED_PRECONDITION"),
    }[binding]
    assert missing in seen["missing"]
    assert final in seen["final"]
