"""`memroos approvals`: what waits for a person."""

import click
import msgspec

from memroos.cli.options import Kernel, OneOf, limit_option, page, remote
from memroos.cli.output import Column, when
from memroos_client.calls import approvals as calls
from memroos_contracts.governance import ApprovalState, ApprovalView

APPROVALS: list[Column[ApprovalView]] = [
    Column("id", lambda approval: approval.id),
    Column("state", lambda approval: approval.state),
    Column("action", lambda approval: approval.action),
    Column("on", lambda approval: approval.asset, shrinks=True),
    Column("purpose", lambda approval: approval.purpose, shrinks=True),
    Column("from", lambda approval: approval.requester, shrinks=True),
    Column("expires", lambda approval: when(approval.expires_at)),
]

note_option = click.option("--note", default="", help="Why; whoever asked sees it.")


@click.group()
def approvals() -> None:
    """Answer what policy holds until a person agrees."""


@approvals.command("list")
@click.option(
    "--state",
    type=OneOf(ApprovalState),
    default=ApprovalState.PENDING,
    show_default=True,
    help="Which ones.",
)
@click.option("--all", "every", is_flag=True, help="Those that were answered, too.")
@limit_option
@remote
def list_approvals(kernel: Kernel, state: ApprovalState, every: bool, most: int) -> None:
    """List approvals, the newest first."""
    call = calls.listing(state=None if every else state, limit=page(most))
    kernel.listing(call, APPROVALS, most=most, empty="Nothing waits for you.")


@approvals.command("show")
@click.argument("approval")
@remote
def show_approval(kernel: Kernel, approval: str) -> None:
    """Show what exactly somebody wants to do, and why policy holds it."""
    _show(kernel, kernel.run(calls.get(approval)))


@approvals.command("approve")
@click.argument("approval")
@note_option
@remote
def approve(kernel: Kernel, approval: str, note: str) -> None:
    """Say yes: what was held goes on."""
    _show(kernel, kernel.run(calls.approve(approval, note=note)))


@approvals.command("reject")
@click.argument("approval")
@note_option
@remote
def reject(kernel: Kernel, approval: str, note: str) -> None:
    """Say no: what was held ends."""
    _show(kernel, kernel.run(calls.reject(approval, note=note)))


def _show(kernel: Kernel, approval: ApprovalView) -> None:
    arguments = msgspec.json.format(msgspec.json.encode(approval.arguments)).decode() if approval.arguments else ""
    kernel.out.facts(
        approval,
        [
            ("approval", approval.id),
            ("state", approval.state),
            ("action", approval.action),
            ("on", approval.asset),
            ("arguments", "not shown to you" if approval.redacted else arguments),
            ("purpose", approval.purpose),
            ("from", approval.requester),
            ("held because", approval.reason),
            ("policies", ", ".join(approval.policies)),
            ("digest", approval.digest),
            ("asked", when(approval.created_at)),
            ("expires", when(approval.expires_at)),
            ("answered", f"{when(approval.answered_at)} by {approval.answered_by}" if approval.answered_by else ""),
            ("note", approval.note),
        ],
    )
