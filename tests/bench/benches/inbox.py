"""The context bus without its door: send, receive and ack, each durable before the next."""

from typing import Any

from tests.bench import in_process
from tests.bench.benches.plan import Plan
from tests.bench.report import Ratio, Result, median

from memroos import bus
from memroos_contracts.identity import AgentId


def bench(plan: Plan) -> Result:
    """Measure how many messages go through the inbox, with 64 callers in one process."""
    result = Result(
        name="inbox",
        title="send + receive + ack, each governed and durable, 64 callers in the kernel's process",
        columns=["what", "per s", "CPU us each"],
    )
    db = in_process.new_database(plan.folder / "inbox")
    try:
        agents = in_process.new_agents(db, in_process.CALLERS)
        wrong: list[str] = []

        async def through(caller: int) -> int:
            sender, receiver = agents[caller], agents[(caller + 1) % len(agents)]
            assert sender.agent is not None
            assert receiver.agent is not None
            body: dict[str, Any] = {"text": "x" * 200}
            await db.write(sender, bus.send, to=receiver.agent, kind="note", body=body)
            items = await db.write(
                receiver, bus.receive, AgentId(receiver.agent), max_messages=1, lease_s=60, tasks=False
            )
            if len(items) != 1:
                wrong.append(f"{len(items)} messages received")
                return 0
            await db.write(receiver, bus.ack, items[0].message.id, items[0].fencing_token)
            return 1

        empty = in_process.empty(db)
        messages, rows = [], []
        for _ in range(plan.rounds):
            rows.append(in_process.pace(db, empty, seconds=plan.seconds))
            messages.append(in_process.pace(db, through, seconds=plan.seconds))
        batch = db.operations / max(db.batches, 1)
    finally:
        db.close()
    result.errors += wrong[:3]
    per_s = median(p.per_s for p in messages)
    result.rows = [
        ["one small row, nothing else", median(p.per_s for p in rows), median(p.cpu_us for p in rows)],
        ["message through the inbox (3 verbs)", per_s, median(p.cpu_us for p in messages)],
    ]
    result.ratios = [
        Ratio(name="messages per second", value=per_s, at_least=3000, aim=6000),
        Ratio(
            name="verbs against small rows",
            value=median(3 * m.per_s / r.per_s for m, r in zip(messages, rows, strict=True)),
        ),
    ]
    result.notes.append(f"{batch:.1f} operations shared a commit on average")
    return result
