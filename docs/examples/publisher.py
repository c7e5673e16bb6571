"""An agent that writes a text to a file, and asks before it does.

    MEMROOS_URL=... MEMROOS_API_KEY=... python publisher.py FOLDER

Writing a file happens outside the kernel, so the kernel cannot stop it; an agent that means well asks `/api/decisions`
whether it may do exactly this. The shipped policy lets a person answer. What came of it is reported, with the digest
of what was written, and stands in the ledger.
"""

import os
import sys
import time
from hashlib import sha256
from pathlib import Path

from memroos_client import Client, ClientError, ProblemError
from memroos_client.calls import agents, decisions, memory, tasks
from memroos_contracts.broker import Artifact, ClaimView, Part
from memroos_contracts.governance import DecisionRequest, DecisionView, Effect, OutcomeReport, ToolOutcome
from memroos_contracts.memory import MemoryKind, NewMemory
from memroos_contracts.registry import Heartbeat

LEASE_S = 6
"""If this process dies, the task is offered again after this time."""


def work(kernel: Client, claimed: ClaimView, folder: Path) -> None:
    """Publish one text.

    Safe to repeat after a crash at any line: the same task asks the same question under the same idempotency key and
    so gets the same decision; the file is replaced as a whole; an outcome that was reported is not reported again.
    """
    text = next((part for part in claimed.message.parts if part.text), Part(text=""))
    content = (text.text or "").encode()
    path = folder / (Path(text.filename).name or "report.md")  # a name from outside must not lead out of the folder
    digest = sha256(content).hexdigest()

    decision = may_write(kernel, claimed, path, content)
    if decision.effect is not Effect.ALLOW:
        kernel.run(tasks.fail(claimed, Part(text=f"Nothing was written: {decision.reason or 'the answer was no.'}")))
        return
    if decision.outcome is None:
        write(path, content)
        done = OutcomeReport(outcome=ToolOutcome.DONE, detail_digest=digest)
        kernel.run(decisions.report(decision.id, done))
    remember(kernel, claimed, path, digest)
    written = Part(data={"path": str(path), "sha256": digest})
    kernel.run(tasks.artifact(claimed, Artifact(artifact_id="file", name=path.name, parts=[written])))
    kernel.run(tasks.complete(claimed, Part(text=f"Wrote {path}.")))


def may_write(kernel: Client, claimed: ClaimView, path: Path, content: bytes) -> DecisionView:
    """Ask whether exactly this may be written, and wait where a person has to answer."""
    digest = sha256(content).hexdigest()
    question = DecisionRequest(
        action="file.write",
        tool="publisher",
        arguments={"path": str(path), "bytes": len(content), "sha256": digest},
        asset=f"file:{path.name}",
        purpose=claimed.task.purpose or "Publish a report.",
    )
    decision = kernel.run(decisions.ask(question, idempotency_key=f"{claimed.task.id}-{digest}"))
    decision = kernel.run(decisions.get(decision.id))  # a repeated question brings the first answer: look at today's
    if decision.effect is Effect.HOLD:
        held = Part(text="A person has to agree first.")
        kernel.run(tasks.progress(claimed, held, Part(data={"approval": decision.approval_id})))
    while decision.effect is Effect.HOLD:
        kernel.run(tasks.heartbeat(claimed, lease_s=LEASE_S))
        kernel.run(agents.beat(Heartbeat(status="waiting for an answer", load=1.0, working_on=(claimed.task.id,))))
        decision = kernel.run(decisions.get(decision.id, wait_s=LEASE_S // 2))
    return decision


def write(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def remember(kernel: Client, claimed: ClaimView, path: Path, digest: str) -> None:
    """Leave a receipt of what was done."""
    receipt = NewMemory(
        text=f"Wrote {path.name} ({claimed.task.purpose})." if claimed.task.purpose else f"Wrote {path.name}.",
        kind=MemoryKind.RECEIPT,
        action="file.write",
        outcome="done",
        task_id=claimed.task.id,
        context_id=claimed.task.context_id,
        data={"path": str(path), "sha256": digest},
    )
    kernel.run(memory.write(receipt, idempotency_key=f"{claimed.task.id}-receipt"))


def main(folder: Path) -> None:
    """Take tasks for as long as the key is good."""
    with Client(os.environ["MEMROOS_URL"], os.environ["MEMROOS_API_KEY"]) as kernel:
        while True:
            try:
                kernel.run(agents.beat(Heartbeat(status="waiting for work")))
                claimed = kernel.run(tasks.claim(wait_s=10, lease_s=LEASE_S))
                if claimed is not None:
                    work(kernel, claimed, folder)
            except ClientError as error:  # what was not finished is offered again when its lease ends
                if isinstance(error, ProblemError) and error.status == 401:
                    sys.exit(str(error))
                print(error, flush=True)
                time.sleep(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
