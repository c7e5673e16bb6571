"""`memroos memory recollection`: what agents are reminded of unasked when a task begins."""

import click

from memroos.cli.memory.options import JsonType
from memroos.cli.options import Kernel, remote
from memroos.cli.output import Column
from memroos_client.calls import memory as calls
from memroos_contracts.recollection import (
    DryRunRequest,
    DryRunRow,
    NewRecollectionPolicy,
    RecollectionPolicyView,
    RecollectionRule,
)

POLICIES: list[Column[RecollectionPolicyView]] = [
    Column("id", lambda policy: policy.id),
    Column("agent", lambda policy: policy.agent_id or "any"),
    Column("purpose", lambda policy: policy.purpose or "any"),
    Column("reminds", lambda policy: "yes" if policy.rule.enabled else "no"),
    Column("memories", lambda policy: str(policy.rule.limit)),
    Column("tokens", lambda policy: f"{policy.rule.share:.0%} of {policy.rule.token_budget}"),
    Column("labels", lambda policy: f"up to {policy.rule.sensitivity_max}"),
    Column("without", lambda policy: ", ".join(policy.rule.forbidden_tags), shrinks=True),
]
TRIED: list[Column[DryRunRow]] = [
    Column("task", lambda row: row.task_id),
    Column("agent", lambda row: row.agent_id),
    Column("given", lambda row: row.abstained or str(len(row.items)), shrinks=True),
    Column("tokens", lambda row: str(row.tokens)),
]

rule_argument = click.argument(
    "rule", type=JsonType("rule", RecollectionRule, "docs/how-to/remember-and-recall.md shows a rule"), default="{}"
)


@click.group("recollection")
def recollection_command() -> None:
    """Say what agents are reminded of unasked when a task begins. Without a policy nobody is."""


@recollection_command.command("list")
@remote
def list_policies(kernel: Kernel) -> None:
    """List the policies. Of those that hold, the most particular one counts."""
    kernel.out.table(kernel.pages(calls.recollection_policies()), POLICIES, empty="Nobody is reminded of anything.")


@recollection_command.command("set")
@rule_argument
@click.option("--agent", default="", help="Only for this agent; by name or id.")
@click.option("--purpose", default="", help="Only for tasks with this purpose.")
@remote
def set_policy(kernel: Kernel, rule: RecollectionRule, agent: str, purpose: str) -> None:
    """Remind by RULE, in place of the rule before. It is JSON, such as {"share": 0.1}, and may be left out."""
    new = NewRecollectionPolicy(rule, kernel.agent_id(agent), purpose)
    policy = kernel.run(calls.put_recollection_policy(new))
    kernel.out.facts(policy, [(column.title, column.text(policy)) for column in POLICIES])


@recollection_command.command("try")
@rule_argument
@click.option("--agent", default="", help="Only the tasks of this agent; by name or id.")
@click.option("--tasks", type=click.IntRange(1, 100), default=20, show_default=True, help="How many of the latest.")
@remote
def try_rule(kernel: Kernel, rule: RecollectionRule, agent: str, tasks: int) -> None:
    """Show what RULE would have handed out at recorded tasks. Nothing is handed out."""
    report = kernel.run(calls.try_recollection(DryRunRequest(rule, kernel.agent_id(agent), tasks)))
    if kernel.out.as_json:
        kernel.out.facts(report, [])
    else:
        kernel.out.table(report.tasks, TRIED, empty="No tasks are on record.")


@recollection_command.command("delete")
@click.argument("policy")
@remote
def delete_policy(kernel: Kernel, policy: str) -> None:
    """Take a policy away."""
    kernel.run(calls.delete_recollection_policy(policy))
    kernel.out.facts({"deleted": policy}, [("deleted", policy)])
