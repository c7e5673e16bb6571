from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.memroos_client.scripted import ScriptedKernel

from memroos.cli import cli

Run = Callable[..., Result]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that holds nothing but the operator's key."""
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    (path / "operator.key").write_text("mr_operator_x\n")
    (path / "operator.key").chmod(0o600)
    return path


@pytest.fixture
def kernel() -> Iterator[ScriptedKernel]:
    """A server on loopback that answers as the test says."""
    with ScriptedKernel().serving() as scripted:
        yield scripted


@pytest.fixture
def run(data_dir: Path, kernel: ScriptedKernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command against the scripted kernel; returns what it printed and how it ended."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, input: str | None = None, **environment: str) -> Result:  # noqa: A002 - click's word
        settings = {"MEMROOS_DATA_DIR": str(data_dir), "MEMROOS_URL": kernel.url, **environment}
        return CliRunner(env=settings).invoke(cli, arguments, input=input, prog_name="memroos")

    return run
