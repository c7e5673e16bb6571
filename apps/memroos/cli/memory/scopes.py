"""`memroos memory scopes`, `rollback`, `inventory`, `traces`: whose memory there is, and what became of it."""

import click

from memroos.cli.memory.options import reason_option
from memroos.cli.options import Kernel, limit_option, page, remote
from memroos.cli.output import Column, when
from memroos_client.calls import memory as calls
from memroos_contracts.memory_items import RollbackRequest, ScopeView
from memroos_contracts.memory_work import InventoryRow
from memroos_contracts.recollection import MemoryTraceView

SCOPES: list[Column[ScopeView]] = [
    Column("id", lambda scope: scope.id),
    Column("user", lambda scope: scope.user_id),
    Column("items", lambda scope: str(scope.items)),
    Column("log", lambda scope: str(scope.last_seq)),
    Column("private", lambda scope: "yes" if scope.private else ""),
    Column("readers", lambda scope: ", ".join(scope.readers), shrinks=True),
]
INVENTORY: list[Column[InventoryRow]] = [
    Column("scope", lambda row: row.scope_id),
    Column("user", lambda row: row.user_id),
    Column("items", lambda row: str(row.items)),
    Column("kinds", lambda row: ", ".join(f"{n} {kind}" for kind, n in row.by_kind.items()), shrinks=True),
    Column("characters", lambda row: str(row.characters)),
    Column("from", lambda row: when(row.oldest_at)),
    Column("to", lambda row: when(row.newest_at)),
    Column("readers", lambda row: ", ".join(row.readers), shrinks=True),
]
TRACES: list[Column[MemoryTraceView]] = [
    Column("at", lambda trace: when(trace.at)),
    Column("cause", lambda trace: trace.cause),
    Column("to", lambda trace: trace.agent_id or trace.actor, shrinks=True),
    Column("task", lambda trace: trace.task_id),
    Column("question", lambda trace: trace.query or trace.query_digest, shrinks=True),
    Column("given", lambda trace: trace.abstained or f"{len(trace.hits)}, {sum(hit.used for hit in trace.hits)} used"),
    Column("tokens", lambda trace: str(trace.tokens)),
]


@click.command("scopes")
@remote
def scopes_command(kernel: Kernel) -> None:
    """List the scopes of memory: each is a log of its own."""
    kernel.out.table(kernel.pages(calls.scopes()), SCOPES, empty="No scopes.")


@click.command("rollback")
@click.argument("scope")
@click.option("--to", "to_seq", type=click.IntRange(0), required=True, help="The state after this entry of its log.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@reason_option
@remote
def rollback_command(kernel: Kernel, scope: str, to_seq: int, dry_run: bool, reason: str) -> None:
    """Take a scope back to an entry of its log. New entries undo; a rollback can be rolled back."""
    report = kernel.run(calls.rollback(scope, RollbackRequest(to_seq, dry_run=dry_run, reason=reason)))
    undo = "" if dry_run or not report.changed else f"memroos memory rollback {scope} --to {report.before_seq}"
    kernel.out.facts(
        report,
        [
            ("scope", report.scope_id),
            ("to entry", str(report.to_seq)),
            ("would change" if dry_run else "changed", "\n".join(report.changed) or "nothing"),
            ("log", f"{report.before_seq} before, {report.after_seq} now"),
            ("operation", report.operation),
            ("to undo it", undo),
        ],
    )


@click.command("inventory")
@limit_option
@remote
def inventory_command(kernel: Kernel, most: int) -> None:
    """Show how much is remembered for whom."""
    kernel.listing(calls.inventory(limit=page(most)), INVENTORY, most=most, empty="Nothing is remembered.")


@click.command("traces")
@click.option("--task", default="", help="Only what was handed out for this task.")
@click.option("--agent", default="", help="Only what was handed out to this agent.")
@limit_option
@remote
def traces_command(kernel: Kernel, task: str, agent: str, most: int) -> None:
    """Show what memory handed out to whom. The newest first, and whether it was used."""
    call = calls.traces(task=task, agent=kernel.agent_id(agent), limit=page(most))
    kernel.listing(call, TRACES, most=most, empty="Memory has handed out nothing.")
