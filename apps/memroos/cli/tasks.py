"""`memroos tasks`: what agents are asked to do."""

import sys

import click

from memroos.cli.failures import Failure
from memroos.cli.options import Kernel, OneOf, limit_option, page, remote
from memroos.cli.output import Column, paint, printable, when
from memroos_client.calls import tasks as calls
from memroos_contracts.broker import (
    FINAL,
    EventKind,
    Part,
    SendRequest,
    TaskDetail,
    TaskEvent,
    TaskState,
    TaskView,
)

TASKS: list[Column[TaskView]] = [
    Column("id", lambda task: task.id),
    Column("state", lambda task: task.state),
    Column("agent", lambda task: task.agent),
    Column("skill", lambda task: task.skill),
    Column("purpose", lambda task: task.purpose, shrinks=True),
    Column("from", lambda task: task.owner, shrinks=True),
    Column("changed", lambda task: when(task.status_at)),
]


@click.group()
def tasks() -> None:
    """Send tasks to agents and follow them."""


@tasks.command("list")
@click.option("--agent", default="", help="Only tasks of this agent.")
@click.option("--owner", default="", metavar="PRINCIPAL", help="Only tasks that this principal sent.")
@click.option("--context", default="", help="Only tasks of this context.")
@click.option("--state", type=OneOf(TaskState), help="Only tasks in this state.")
@limit_option
@remote
def list_tasks(kernel: Kernel, agent: str, owner: str, context: str, state: TaskState | None, most: int) -> None:
    """List tasks, the last changed first."""
    call = calls.listing(agent=kernel.agent_id(agent), owner=owner, context_id=context, state=state, limit=page(most))
    kernel.listing(call, TASKS, most=most, empty="No tasks.")


@tasks.command("show")
@click.argument("task")
@click.option("--content", is_flag=True, help="Its messages and artifacts, too. The ledger keeps who read them.")
@remote
def show_task(kernel: Kernel, task: str, content: bool) -> None:
    """Show where a task stands."""
    if content:
        _show_content(kernel, kernel.run(calls.content(task)))
    else:
        _show(kernel, kernel.run(calls.get(task)))


@tasks.command("send")
@click.argument("text")
@click.option("--agent", default="", help="Which agent is to do it.")
@click.option("--skill", default="", help="Any agent with this skill is to do it.")
@click.option("--tag", "tags", multiple=True, help="... and with this tag. May be repeated.")
@click.option("--task", default="", help="Go on with this task, instead of starting one.")
@click.option("--context", default="", help="The context it belongs to.")
@click.option("--purpose", default="", help="Why; policy and the ledger see it.")
@click.option("--wait-s", type=click.IntRange(0, 60), default=0, help="Wait for its end for so long, in seconds.")
@click.option("--follow", is_flag=True, help="Show what happens until it ends.")
@remote
def send_task(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel,
    text: str,
    agent: str,
    skill: str,
    tags: tuple[str, ...],
    task: str,
    context: str,
    purpose: str,
    wait_s: int,
    follow: bool,
) -> None:
    """Send TEXT to an agent; `-` reads it from standard input."""
    if not (agent or skill or tags or task):
        raise click.UsageError("Say who is to do it: --agent, --skill, --tag or --task.")
    request = SendRequest(
        parts=[Part(text=sys.stdin.read() if text == "-" else text)],
        agent=agent,
        skill=skill,
        tags=list(tags),
        task_id=task,
        context_id=context,
        purpose=purpose,
    )
    sent = kernel.run(calls.send(request, wait_s=wait_s))
    if follow:
        _follow(kernel, sent.id, after=0)
    else:
        _show(kernel, sent)


@tasks.command("watch")
@click.argument("task")
@click.option("--after", type=click.IntRange(0), default=0, help="Begin behind this generation.")
@remote
def watch_task(kernel: Kernel, task: str, after: int) -> None:
    """Show what happens to a task until it ends. Exit code 1 says that it did not end well."""
    _follow(kernel, task, after=after)


@tasks.command("cancel")
@click.argument("task")
@click.option("--reason", default="", help="Why.")
@remote
def cancel_task(kernel: Kernel, task: str, reason: str) -> None:
    """End a task before its time."""
    _show(kernel, kernel.run(calls.cancel(task, reason=reason)))


def _follow(kernel: Kernel, task: str, *, after: int) -> None:
    state: TaskState | None = None
    known = kernel.run(calls.get(task))
    if known.state in FINAL and known.generation <= after:  # nothing more will come
        raise Failure(f"The task ended before: {known.state}.")
    for event in kernel.stream(calls.follow(task, after=after)):
        state = event.state or state
        kernel.out.line(event, _line(event))
    if state is not TaskState.COMPLETED:
        raise Failure(f"The task ended without success: {state}.", f"`memroos tasks show {task}` says why.")


def _line(event: TaskEvent) -> str:
    match event.kind:
        case EventKind.STATUS:
            what = paint(event.state or "")
            said = "" if event.message is None else text_of(event.message.parts)
        case EventKind.ARTIFACT:
            what = f"artifact {event.artifact.artifact_id}" if event.artifact else "artifact"
            said = "" if event.artifact is None else text_of(event.artifact.parts)
        case EventKind.MESSAGE:
            what = f"message from {event.message.role}" if event.message else "message"
            said = "" if event.message is None else text_of(event.message.parts)
    return f"{when(event.at)}  {event.generation:>3}  {what}{f': {printable(said)}' if said else ''}"


def text_of(parts: list[Part]) -> str:
    """Return what people can read of a content, the rest by its kind."""
    return "\n".join(_text(part) for part in parts)


def _text(part: Part) -> str:
    if part.text is not None:
        return part.text
    kind = part.media_type or ("bytes" if part.raw is not None else "data")
    return f"[{part.filename or kind}{f' at {part.url}' if part.url else ''}]"


def _facts(task: TaskView) -> list[tuple[str, str]]:
    message = task.status_message
    return [
        ("task", task.id),
        ("state", task.state),
        ("said", text_of(message.parts) if message else ""),
        ("approval", task.approval_id or ""),
        ("agent", f"{task.agent} ({task.agent_id})"),
        ("chosen", task.route_reason),
        ("skill", task.skill),
        ("purpose", task.purpose),
        ("context", task.context_id),
        ("from", task.owner),
        ("created", when(task.created_at)),
        ("changed", when(task.status_at)),
        ("deadline", when(task.deadline_at)),
        ("generation", str(task.generation)),
    ]


def _show(kernel: Kernel, task: TaskView) -> None:
    kernel.out.facts(task, _facts(task))


def _show_content(kernel: Kernel, detail: TaskDetail) -> None:
    said = [(f"{message.role} says", text_of(message.parts)) for message in detail.history or []]
    made = [(f"artifact {a.name or a.artifact_id}", text_of(a.parts)) for a in detail.artifacts or []]
    kernel.out.facts(detail, [*_facts(detail.task), *said, *made])
