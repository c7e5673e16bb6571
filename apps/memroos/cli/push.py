"""`memroos push`: who is notified of what, and how that goes."""

import click

from memroos.cli.options import Kernel, OneOf, limit_option, page, remote
from memroos.cli.output import Column, when
from memroos_client.calls import push as calls
from memroos_contracts.push import PushConfigView, PushState, PushTryView

CONFIGS: list[Column[PushConfigView]] = [
    Column("id", lambda config: config.id),
    Column("state", lambda config: config.state),
    Column("task", lambda config: config.task_id),
    Column("address", lambda config: config.url, shrinks=True),
    Column("delivered", lambda config: str(config.delivered_generation)),
    Column("failures", lambda config: str(config.failures or "")),
    Column("next try", lambda config: when(config.next_try_at)),
]
TRIES: list[Column[PushTryView]] = [
    Column("at", lambda one: when(one.at)),
    Column("generation", lambda one: str(one.generation)),
    Column("status", lambda one: str(one.status or "none")),
    Column("error", lambda one: one.error, shrinks=True),
]


@click.group()
def push() -> None:
    """See where notifications about tasks go, what failed, and send again."""


@push.command("list")
@click.option("--task", help="Only those about this task.")
@click.option("--state", type=OneOf(PushState), help="Only those in this state.")
@limit_option
@remote
def list_configs(kernel: Kernel, task: str | None, state: PushState | None, most: int) -> None:
    """List where notifications go, newest first."""
    call = calls.listing(task=task, state=state, limit=page(most))
    kernel.listing(call, CONFIGS, most=most, empty="Nobody is notified.")


@push.command("show")
@click.argument("push_id", metavar="PUSH")
@remote
def show_config(kernel: Kernel, push_id: str) -> None:
    """Show where notifications go, and how far they got."""
    _show(kernel, kernel.run(calls.get(push_id)))


@push.command("tries")
@click.argument("push_id", metavar="PUSH")
@limit_option
@remote
def list_tries(kernel: Kernel, push_id: str, most: int) -> None:
    """List the last tries to deliver, newest first."""
    kernel.listing(calls.tries(push_id, limit=page(most)), TRIES, most=most, empty="Nothing was tried yet.")


@push.command("replay")
@click.argument("push_id", metavar="PUSH")
@click.option(
    "--after",
    "after_generation",
    type=click.IntRange(0),
    help="Send again what came after this generation, 0 for everything; left out, go on where it stopped.",
)
@remote
def replay_config(kernel: Kernel, push_id: str, after_generation: int | None) -> None:
    """Send again. The receiver knows what it has had before by the notification's id."""
    _show(kernel, kernel.run(calls.replay(push_id, after_generation=after_generation)))


@push.command("delete")
@click.argument("push_id", metavar="PUSH")
@remote
def delete_config(kernel: Kernel, push_id: str) -> None:
    """Send no more notifications there, and forget the address."""
    kernel.run(calls.delete(push_id))
    kernel.out.say(f"{push_id} is deleted.")


def _show(kernel: Kernel, config: PushConfigView) -> None:
    kernel.out.facts(
        config,
        [
            ("id", config.id),
            ("name", config.config_id),
            ("state", config.state),
            ("task", config.task_id),
            ("owner", config.owner),
            ("address", config.url),
            ("authorization", config.scheme and f"{config.scheme} ({'kept' if config.has_credentials else 'none'})"),
            ("token", "kept" if config.has_token else ""),
            ("delivered", f"up to generation {config.delivered_generation}"),
            ("failures", f"{config.failures} in a row" if config.failures else ""),
            ("last status", str(config.last_status or "")),
            ("last error", config.last_error),
            ("last try", when(config.last_try_at)),
            ("next try", when(config.next_try_at)),
        ],
    )
