"""The declarative suite: files of suites of tests of steps, read in place.

`MEMROOS_TEST_ACTS` names the folder; without it `../shared/data/acts` beside the checkout is tried.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("MEMROOS_TEST_ACTS") or ROOT.parent / "shared" / "data" / "acts")
ABSENT = f"the declarative suite is not in {FOLDER}; MEMROOS_TEST_ACTS says where it is"

JSONRPC, REST, GRPC = "jsonrpc", "rest", "grpc"
CAPABILITIES = ("streaming", "pushNotifications", "extendedAgentCard")
_STREAMING = {"send_streaming_message", "subscribe_to_task"}


@dataclass(frozen=True)
class Test:
    """One test of the suite."""

    __test__ = False

    id: str
    name: str
    suite: str
    level: str
    steps: list[dict[str, Any]]
    behaviours: list[str] = field(default_factory=list)
    needs: dict[str, bool] = field(default_factory=dict)
    transports: tuple[str, ...] = (JSONRPC, REST)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def client_only(self) -> bool:
        """Whether it gives bytes to a client and asks no server anything."""
        return any("client_response" in step for step in self.steps)

    def fits(self, capabilities: dict[str, bool]) -> bool:
        """Return whether an agent with these capabilities is the one that it is for."""
        return all(capabilities[name] is wanted for name, wanted in self.needs.items())


def load(folder: Path = FOLDER) -> list[Test]:
    """Return every test of the suite that the suite's index includes; none where there is no suite."""
    index = folder / "suite.acts.yaml"
    if not index.exists():
        return []
    names = _read(index)["include"]
    return [test for name in names for test in _of_file(_read(folder / name))]


def _read(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)


def _of_file(content: dict[str, Any]) -> list[Test]:
    return [
        _test(suite["id"], test, content.get("variables", {})) for suite in content["suites"] for test in suite["tests"]
    ]


def _test(suite: str, test: dict[str, Any], variables: dict[str, str]) -> Test:
    needs = dict(test.get("preconditions", {}).get("capabilities", {}))
    if "streaming" not in needs and _streams(test["steps"]):
        needs["streaming"] = True  # 3.3.4: without the capability these operations are refused, which CORE-CAP-002 asks
    return Test(
        id=test["id"],
        name=test["name"],
        suite=suite,
        level=test["level"],
        steps=test["steps"],
        behaviours=test.get("requires_behaviors", []),
        needs=needs,
        transports=tuple(test.get("transport", (JSONRPC, REST))),
        variables=variables,
    )


def _streams(steps: list[dict[str, Any]]) -> bool:
    raw = [step["raw"].get("body") or {} for step in steps if "raw" in step]
    return any(step.get("operation") in _STREAMING for step in steps) or any(
        isinstance(body, dict) and body.get("method") == "SendStreamingMessage" for body in raw
    )
