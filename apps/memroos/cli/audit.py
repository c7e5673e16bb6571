"""`memroos audit`: the ledger."""

from itertools import islice
from pathlib import Path

import click

from memroos import audit as ledger
from memroos.cli.failures import Failure
from memroos.cli.options import Kernel, OneOf, data_dir_option, json_option, page, remote
from memroos.cli.output import Column, Output, Progress, when
from memroos.cli.settings import kernel_settings
from memroos.supervisor import DATABASE
from memroos_client.calls import audit as calls
from memroos_contracts.audit import AuditEventView, Misfit, Outcome, VerifyReport
from memroos_contracts.errors import MemroosError

EVENTS: list[Column[AuditEventView]] = [
    Column("seq", lambda event: str(event.seq)),
    Column("at", lambda event: when(event.at)),
    Column("kind", lambda event: event.kind),
    Column("action", lambda event: event.action),
    Column("result", lambda event: event.outcome or str(event.facts.get("effect", ""))),
    Column("actor", lambda event: f"{event.actor.role}:{event.actor.id}", shrinks=True),
    Column("asset", lambda event: f"{event.asset.kind}:{event.asset.id}", shrinks=True),
]


@click.group()
def audit() -> None:
    """Read and verify the ledger: what was decided, and what came of it."""


@audit.command("tail")
@click.option("-n", "last", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--action", help="Only this action, such as task.send or task.created.")
@click.option("--actor", metavar="PRINCIPAL", help="Only this principal, such as agent:agt_...")
@click.option("--asset", help="Only this asset, such as task:task_...")
@click.option("--outcome", type=OneOf(Outcome), help="Only actions that ended like this.")
@remote
def tail_audit(
    kernel: Kernel, last: int, action: str | None, actor: str | None, asset: str | None, outcome: Outcome | None
) -> None:
    """Show the newest events, the newest last."""
    call = calls.listing(action=action, actor=actor, asset=asset, outcome=outcome, limit=min(page(last), last))
    newest = list(islice(kernel.pages(call), last))
    kernel.out.table(reversed(newest), EVENTS, empty="No events.")


@audit.command("head")
@remote
def head_audit(kernel: Kernel) -> None:
    """Show the newest signed head. Keep it elsewhere: nobody can then rewrite what it covers unseen."""
    head = kernel.run(calls.head())
    if not kernel.out.as_json:
        click.echo(head.note, nl=False)
        return
    kernel.out.facts(head, [])


@audit.command("verify")
@click.argument("database", required=False, type=click.Path(path_type=Path, dir_okay=False))
@data_dir_option
@click.option(
    "--public-key", metavar="KEY|FILE", help="What heads are signed with; ledger.pub beside the database when left out."
)
@click.option(
    "--witness",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with signed heads that was kept elsewhere.",
)
@json_option
def verify_audit(
    database: Path | None, data_dir: Path | None, public_key: str | None, witness: Path | None, as_json: bool
) -> None:
    """Recompute the whole ledger. Exit code 1: the first event that does not fit is named.

    Works on the file, also while the kernel runs. DATABASE is the kernel's database; the one in the data directory
    when left out.
    """
    path = database or kernel_settings(data_dir).data_dir / DATABASE
    progress = Progress()
    try:
        report = ledger.verify(
            path,
            public_key=_key(public_key),
            witness=witness,
            progress=lambda done, total: progress("verifying", done, total),
        )
    except MemroosError as error:
        raise Failure(str(error)) from error
    finally:
        progress.end()
    _tell(Output(as_json=as_json), report)
    if report.misfit is not None:
        raise Failure(describe(report.misfit), "Keep these files as they are, and restore a backup elsewhere.")


def describe(misfit: Misfit) -> str:
    """Say which event does not fit."""
    where = (
        f"Event {misfit.seq}" if misfit.until_seq is None else f"One of the events {misfit.seq} to {misfit.until_seq}"
    )
    return f"{where}{f' ({misfit.event})' if misfit.event else ''} does not fit: {misfit.reason}"


def _key(text: str | None) -> Path | str | None:
    return Path(text) if text is not None and Path(text).is_file() else text


def _tell(out: Output, report: VerifyReport) -> None:
    signatures = "checked" if report.signatures_checked else "not checked: no public key at hand"
    out.facts(
        report,
        [
            ("ledger", "ok" if report.ok else "fail"),
            ("events", str(report.events)),
            ("sealed", f"{report.sealed} of them by a signed head"),
            ("heads", str(report.heads)),
            ("witnessed", str(report.witnessed) if report.witnessed else ""),
            ("signatures", signatures),
            ("root", report.root),
        ],
    )
