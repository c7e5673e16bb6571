"""`memroos agents`: who exists."""

from pathlib import Path

import click
import msgspec

from memroos.cli.options import Kernel, OneOf, limit_option, page, pairs, remote
from memroos.cli.output import Column, when
from memroos_client.calls import agents as calls
from memroos_contracts.registry import AgentKind, AgentSkill, AgentState, AgentView, NewAgent, PeerView

AGENTS: list[Column[AgentView]] = [
    Column("name", lambda agent: agent.name),
    Column("kind", lambda agent: agent.kind),
    Column("state", lambda agent: agent.state),
    Column("liveness", lambda agent: agent.liveness),
    Column("skills", lambda agent: ", ".join(skill.id for skill in agent.skills), shrinks=True),
    Column("title", lambda agent: agent.title, shrinks=True),
    Column("id", lambda agent: agent.id),
]
PEERS: list[Column[PeerView]] = [
    Column("name", lambda peer: peer.name),
    Column("liveness", lambda peer: peer.liveness),
    Column("skills", lambda peer: ", ".join(skill.id for skill in peer.skills), shrinks=True),
    Column("title", lambda peer: peer.title, shrinks=True),
    Column("id", lambda peer: peer.id),
]


@click.group()
def agents() -> None:
    """Register agents and look after them. An agent is named by its name or its id."""


@agents.command("list")
@click.option("--state", type=OneOf(AgentState), help="Only agents in this state.")
@click.option("--kind", type=OneOf(AgentKind), help="Only agents of this kind.")
@click.option("--skill", help="Only agents with this skill.")
@click.option("--tag", help="Only agents with a skill that has this tag.")
@limit_option
@remote
def list_agents(
    kernel: Kernel, state: AgentState | None, kind: AgentKind | None, skill: str | None, tag: str | None, most: int
) -> None:
    """List agents, the newest first."""
    call = calls.listing(state=state, kind=kind, skill=skill, tag=tag, limit=page(most))
    kernel.listing(call, AGENTS, most=most, empty="No agents.")


@agents.command("show")
@click.argument("agent")
@remote
def show_agent(kernel: Kernel, agent: str) -> None:
    """Show one agent."""
    _show(kernel, kernel.run(calls.get(agent)))


@agents.command("create")
@click.argument("name")
@click.option("--kind", type=OneOf(AgentKind), default=AgentKind.REST, show_default=True, help="How work reaches it.")
@click.option("--title", default="", help="A name for people.")
@click.option("--description", default="", help="What it is for.")
@click.option(
    "--skill", "skills", multiple=True, metavar="ID[:TAG,TAG]", help="A skill, by which work finds it. May be repeated."
)
@click.option(
    "--skills-from",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON file with a list of skills, as in an A2A agent card.",
)
@click.option("--endpoint-url", default="", metavar="URL", help="Where its A2A interface is; for kind a2a.")
@click.option(
    "--max-concurrency", type=click.IntRange(1), default=1, show_default=True, help="Most tasks at the same time."
)
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label. May be repeated.")
@click.option("--active", is_flag=True, help="Let it take part at once, instead of as a draft.")
@remote
def create_agent(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel,
    name: str,
    kind: AgentKind,
    title: str,
    description: str,
    skills: tuple[str, ...],
    skills_from: Path | None,
    endpoint_url: str,
    max_concurrency: int,
    labels: tuple[str, ...],
    active: bool,
) -> None:
    """Register an agent. Give it a key with `memroos keys create --agent NAME` and activate it."""
    new = NewAgent(
        name=name,
        kind=AgentKind(kind),
        title=title,
        description=description,
        state=AgentState.ACTIVE if active else AgentState.DRAFT,
        skills=(*map(_skill, skills), *_skills_in(skills_from)),
        endpoint_url=endpoint_url,
        max_concurrency=max_concurrency,
        labels=pairs(labels, "--label"),
    )
    _show(kernel, kernel.run(calls.create(new)))


@agents.command("activate")
@click.argument("agent")
@click.option("--reason", default="", help="Why; kept with the agent.")
@remote
def activate_agent(kernel: Kernel, agent: str, reason: str) -> None:
    """Let an agent take part. A draft becomes active, and one in quarantine again."""
    _show(kernel, kernel.run(calls.activate(agent, reason=reason)))


@agents.command("quarantine")
@click.argument("agent")
@click.option("--reason", default="", help="Why; kept with the agent.")
@remote
def quarantine_agent(kernel: Kernel, agent: str, reason: str) -> None:
    """Shut an agent out until it is activated again. Its keys stop working, its open streams end."""
    _show(kernel, kernel.run(calls.quarantine(agent, reason=reason)))


@agents.command("retire")
@click.argument("agent")
@click.option("--reason", default="", help="Why; kept with the agent.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@remote
def retire_agent(kernel: Kernel, agent: str, reason: str, yes: bool) -> None:
    """Shut an agent out for good."""
    if not yes:
        click.confirm(f"Retire {agent}? It cannot come back, and its name stays taken.", abort=True, err=True)
    _show(kernel, kernel.run(calls.retire(agent, reason=reason)))


@agents.command("peers")
@limit_option
@remote
def list_peers(kernel: Kernel, most: int) -> None:
    """List agents as other agents see them."""
    kernel.listing(calls.peers(limit=page(most)), PEERS, most=most, empty="No peers.")


def _skill(text: str) -> AgentSkill:
    skill_id, _, tags = text.partition(":")
    return AgentSkill(id=skill_id, name=skill_id, tags=tuple(tag.strip() for tag in tags.split(",") if tag.strip()))


def _skills_in(file: Path | None) -> tuple[AgentSkill, ...]:
    if file is None:
        return ()
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[AgentSkill, ...])
    except msgspec.DecodeError as error:
        raise click.UsageError(f"{file}: no list of skills: {error}") from error


def _show(kernel: Kernel, agent: AgentView) -> None:
    skills = [skill.id + (f" ({', '.join(skill.tags)})" if skill.tags else "") for skill in agent.skills]
    kernel.out.facts(
        agent,
        [
            ("name", agent.name),
            ("id", agent.id),
            ("kind", agent.kind),
            ("state", agent.state),
            ("reason", agent.state_reason),
            ("liveness", agent.liveness),
            ("last seen", when(agent.last_seen_at)),
            ("status", agent.status),
            ("title", agent.title),
            ("description", agent.description),
            ("skills", "\n".join(skills)),
            ("endpoint", agent.endpoint_url),
            ("concurrency", str(agent.max_concurrency)),
            ("labels", ", ".join(f"{name}={value}" for name, value in agent.labels.items())),
            ("version", str(agent.version)),
            ("created", f"{when(agent.created_at)} by {agent.created_by}"),
        ],
    )
