"""The example programs do what their first line says."""

import asyncio
import base64
import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from memroos_contracts.identity import WorkspaceId
from memroos_contracts.memory import Arm, ArmPart, RecallItem
from memroos_contracts.memory_items import ItemView
from memroos_kit.keyset import KeySet

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def load(name: str) -> ModuleType:
    """Import an example by its file; it starts nothing."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


researcher = load("researcher")
publisher = load("publisher")
webhook_receiver = load("webhook_receiver")

PAGE = """# Bees

Bees make honey.
They live in hives.

## Wintering

```sh
# honey in code is not prose
```

In winter a hive eats its honey.

# Wasps

Wasps make paper.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "insects.md").write_text(PAGE, "utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "paper.md").write_text("Paper is made from wood.\n", "utf-8")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "secret.md").write_text("Honey.\n", "utf-8")
    (tmp_path / "notes.txt").write_text("Honey.\n", "utf-8")
    return tmp_path


def test_a_passage_knows_its_lines_and_its_headings() -> None:
    passages = list(researcher.split("insects.md", PAGE))

    assert [(p.first_line, p.last_line, p.heading, p.text) for p in passages] == [
        (3, 4, "Bees", "Bees make honey.\nThey live in hives."),
        (12, 12, "Bees > Wintering", "In winter a hive eats its honey."),
        (16, 16, "Wasps", "Wasps make paper."),
    ]


def test_only_markdown_outside_hidden_folders_is_read(folder: Path) -> None:
    assert {p.file for p in researcher.read_passages(folder)} == {"insects.md", "deep/paper.md"}


def test_the_passage_that_says_most_of_the_question_comes_first(folder: Path) -> None:
    passages = researcher.read_passages(folder)

    assert researcher.search("What do hives eat in the winter?", passages)[0].source == "insects.md:12"
    assert researcher.search("Who makes paper?", passages)[0].source == "insects.md:16"


def test_a_rare_word_weighs_more_than_a_common_one(folder: Path) -> None:
    found = researcher.search("wood or honey", researcher.read_passages(folder))

    assert found[0].source == "deep/paper.md:1"


def test_a_question_about_something_else_finds_nothing(folder: Path) -> None:
    passages = researcher.read_passages(folder)

    assert researcher.search("Which satellites orbit Jupiter?", passages) == []
    assert "Nothing in this folder speaks about it." in researcher.report("Jupiter?", [], passages)


def test_one_file_cannot_fill_the_report(tmp_path: Path) -> None:
    (tmp_path / "long.md").write_text("honey honey\n\n" * 20, "utf-8")
    (tmp_path / "short.md").write_text("A word on honey, among many other words that were said.\n", "utf-8")

    found = researcher.search("honey", researcher.read_passages(tmp_path))

    assert [p.file for p in found] == ["long.md", "long.md", "short.md"]


def test_the_same_folder_gives_the_same_report_with_its_sources(folder: Path) -> None:
    passages = researcher.read_passages(folder)
    found = researcher.search("honey", passages)
    text = researcher.report("honey", found, passages)

    assert text == researcher.report("honey", researcher.search("honey", passages), researcher.read_passages(folder))
    assert "2 of 4 passages, from 2 files." in text
    assert "> In winter a hive eats its honey.\n\nSource: insects.md:12" in text


def test_what_is_recalled_is_told_with_its_source_its_time_and_its_run() -> None:
    kept = ItemView(
        id="mem_1",
        workspace_id=WorkspaceId("default"),
        text="Bees\nBees make honey.",
        run_id="4711",
        source={"document": "insects.md:3"},
        recorded_at=datetime(2026, 3, 4, 5, 6, tzinfo=UTC),
    )
    arms = {Arm.VECTOR: ArmPart(rank=1, score=0.7, part=1.8), Arm.LEXICAL: ArmPart(rank=0, score=0.0, part=0.0)}
    hit = RecallItem(item=kept, score=1.8, snippet="", sources=("mem_1",), arms=arms)

    told = researcher.retell("Who makes sweet things?", [hit])

    assert "From memory; no page was read." in told
    assert "## 1. Recalled by vector\n\n> Bees\n> Bees make honey.\n" in told
    assert "Source: insects.md:3, found on 2026-03-04 at 05:06 UTC in run 4711" in told


def test_without_a_kernel_or_a_key_nothing_is_recalled_and_research_goes_on(tmp_path: Path) -> None:
    nowhere = researcher.Findings("", tmp_path / "none.key")
    (tmp_path / "some.key").write_text("a-key\n", "ascii")
    gone = researcher.Findings("http://127.0.0.1:9", tmp_path / "some.key")

    async def ask() -> list[list[RecallItem]]:
        await nowhere.keep(list(researcher.split("insects.md", PAGE)), "task_1")
        return [await nowhere.recall("Who makes honey?"), await gone.recall("Who makes honey?")]

    assert asyncio.run(ask()) == [[], []]


def test_a_file_is_written_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.md"

    publisher.write(path, b"first")
    publisher.write(path, b"second")

    assert path.read_bytes() == b"second"
    assert [file.name for file in path.parent.iterdir()] == ["report.md"]


def test_the_smallest_agent_fits_on_twenty_lines() -> None:
    lines = (EXAMPLES / "echo_agent.py").read_text("utf-8").splitlines()

    assert len(lines) <= 20


def test_a_notification_is_from_the_kernel_or_refused(tmp_path: Path) -> None:
    keys = KeySet.ensure(tmp_path)
    published = keys.jwks()["keys"]
    body = b'{"statusUpdate": {"taskId": "task_1", "status": {"state": "TASK_STATE_WORKING"}}}'
    _, signature = keys.sign_webhook(b"push_1_3.1000." + body)
    signed = f"v1a,{base64.b64encode(signature).decode()}"
    good = {"webhook-id": "push_1_3", "webhook-timestamp": "1000", "webhook-signature": f"v1,AAAA {signed}"}

    assert webhook_receiver.verify(good, body, published, 1100.0) == "push_1_3"
    bad: list[tuple[dict[str, str], bytes, float]] = [
        (good, body + b" ", 1100.0),
        (good | {"webhook-id": "push_1_4"}, body, 1100.0),
        (good | {"webhook-timestamp": "1001"}, body, 1100.0),
        (good | {"webhook-timestamp": "soon"}, body, 1100.0),
        (good | {"webhook-signature": signed.replace("v1a", "v2")}, body, 1100.0),
        (good | {"webhook-signature": "v1a,no base 64"}, body, 1100.0),
        (good, body, 1301.0),
        (good, body, 699.0),
        ({}, body, 1100.0),
    ]
    for headers, content, now in bad:
        with pytest.raises(webhook_receiver.NotFromThere):
            webhook_receiver.verify(headers, content, published, now)


def test_a_notification_is_told_in_a_line() -> None:
    status = {"status": {"state": "TASK_STATE_WORKING"}}

    assert webhook_receiver.says({"task": {"id": "task_1", **status}}) == "task_1 TASK_STATE_WORKING"
    assert webhook_receiver.says({"statusUpdate": {"taskId": "task_1", **status}}) == "task_1 TASK_STATE_WORKING"
    artifact = {"artifactUpdate": {"taskId": "task_1", "artifact": {"artifactId": "a"}}}
    assert webhook_receiver.says(artifact) == "task_1 artifact a"
    assert webhook_receiver.says({"message": {"messageId": "m"}}) == "message m"
