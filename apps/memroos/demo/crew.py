"""The demo's two agents: registered, at work, and at the end out of service again.

The publisher comes to the kernel for its work, over REST. The researcher is a server of A2A, and the kernel goes to it;
it has a key, too, for what it keeps in memory.
"""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from memroos.demo.errors import ResearcherOutOfReach, Stopped
from memroos.demo.kernel import PATIENCE_S, PAUSE_S, Kernel
from memroos.demo.pages import documentation
from memroos_client import ProblemError
from memroos_client.calls import agents, keys, memory, remote_agents, tasks
from memroos_contracts.broker import FINAL, TaskState
from memroos_contracts.registry import (
    AgentKind,
    AgentSkill,
    AgentState,
    AgentView,
    Credential,
    NewAgent,
    NewAgentKey,
    NewKeyView,
    NewRemoteAgent,
    RemoteAgentChange,
)

TAG = "demo"
"""Beside the skill, so that the demo's work goes to the demo's agents even where others have the same skills."""

FINDINGS = "findings"
"""The part of its stream in which the researcher keeps what it finds."""

KEY_LIFETIME_S = 3_600
"""The agents' keys end by themselves if the demo is killed before it can revoke them."""

STOP_S = 5.0


class Member(msgspec.Struct):
    """One of the demo's agents, and its process."""

    role: str
    agent: AgentView | None = None
    process: subprocess.Popen[bytes] | None = None
    key_id: str = ""
    address: str = ""
    token: str = ""
    """What the kernel shows to a remote one."""


class Crew:
    """The two agents: registered, at work, and at the end out of service again.

    Args:
        kernel: where they are registered.
        desk: a folder for their logs and for what they write.
    """

    def __init__(self, kernel: Kernel, desk: Path) -> None:
        self.desk = desk
        self._kernel = kernel
        self._members: dict[str, Member] = {}

    def __getitem__(self, role: str) -> Member:
        return self._members[role]

    def start_remote(self, role: str, folder: Path) -> AgentView:
        """Start an agent that is a server of its own, and have the kernel register it from its card.

        Raises:
            ResearcherOutOfReach: the kernel does not call addresses of this machine.
            Stopped: its program is not there, or it says nothing.
        """
        member = self._members[role] = Member(role, token=secrets.token_urlsafe(32))
        self._serve(member, folder)
        try:
            agent = self._ensure_remote(f"demo-{role}", member.address, Credential(value=member.token))
        except ProblemError as problem:
            if problem.slug == "address-refused":
                raise ResearcherOutOfReach(f"the kernel does not call {member.address}: {problem}") from problem
            raise
        member.agent = agent
        self._drop_old_work(agent)
        self._forget(agent)
        made = self._new_key(agent)
        member.key_id = made.key.id
        write_secret(self._key_file(role), made.secret)
        return agent

    def restart_remote(self, role: str, folder: Path) -> tuple[int, int]:
        """End a remote agent's process and start another at the same place; return the number of each.

        Raises:
            Stopped: its program says nothing.
        """
        member = self._members[role]
        assert member.process is not None
        before = member.process.pid
        end(member.process)
        self._serve(member, folder, member.address.rpartition(":")[2])
        return before, member.process.pid

    def _serve(self, member: Member, folder: Path, *port: str) -> None:
        """Start a remote agent's program and wait until it says where it is."""
        known = {
            f"{member.role.upper()}_TOKEN": member.token,
            "MEMROOS_URL": self._kernel.url,
            "MEMROOS_API_KEY_FILE": str(self._key_file(member.role)),
        }
        self._run(member, folder, known, *port)
        member.address = self._await_address(member)

    def start(self, role: str, skill: str, does: str, folder: Path) -> AgentView:
        """Register an agent that comes for its work, or find it from an earlier demo, and start its process.

        Raises:
            Stopped: its program is not there, or it says nothing.
        """
        wanted = NewAgent(
            name=f"demo-{role}",
            kind=AgentKind.REST,
            title=f"The demo's {role}",
            description=does,
            state=AgentState.ACTIVE,
            skills=(AgentSkill(id=skill, name=skill.capitalize(), description=does, tags=(TAG,)),),
        )
        agent = self._ensure(wanted)
        member = self._members[role] = Member(role, agent)
        self._drop_old_work(agent)
        made = self._new_key(agent)
        member.key_id = made.key.id
        self._run(member, folder, {"MEMROOS_URL": self._kernel.url, "MEMROOS_API_KEY": made.secret})
        return self._await_sign_of_life(member, agent)

    def _run(self, member: Member, folder: Path, secrets_: dict[str, str], *more: str) -> None:
        """Start an agent's program, with nothing of what is meant for the kernel or its operator."""
        program = documentation() / "examples" / f"{member.role}.py"
        with self._log(member.role).open("wb") as log:
            member.process = subprocess.Popen(  # noqa: S603 - our own program; its secrets stay off the command line
                [sys.executable, "-u", str(program), str(folder), *more],
                env={"PYTHONPATH": libraries(), **secrets_},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def check(self) -> None:
        """Look after the processes.

        Raises:
            Stopped: one has ended.
        """
        for member in self._members.values():
            if member.process is not None and member.process.poll() is not None:
                last = self._log(member.role).read_text("utf-8", errors="replace").strip().splitlines()[-1:]
                raise Stopped(f"the {member.role}'s process has ended: {' '.join(last) or 'it said nothing'}")

    def dismiss(self) -> None:
        """Stop the processes, then take the agents out of service and end their keys."""
        for member in self._members.values():
            if member.process is not None:
                end(member.process)
            self._key_file(member.role).unlink(missing_ok=True)
        for member in self._members.values():
            if member.key_id:
                self._kernel.run(keys.revoke(member.key_id, reason="the demo is over"))
            if member.agent is not None:
                self._kernel.run(agents.quarantine(member.agent.id, reason="the demo is over"))

    def _ensure(self, wanted: NewAgent) -> AgentView:
        """Return the agent as it is wanted, in service."""
        name, agent = self._find(wanted.name, wanted.kind)
        if agent is None:
            return self._kernel.run(agents.create(msgspec.structs.replace(wanted, name=name)))
        return self._kernel.run(agents.activate(agent.id, reason="a demo begins"))

    def _ensure_remote(self, name: str, address: str, credential: Credential) -> AgentView:
        """Return the agent whose card is at this address, in service."""
        name, agent = self._find(name, AgentKind.A2A)
        if agent is None:
            new = NewRemoteAgent(card_url=address, name=name, credential=credential, interval_s=15)
            return self._kernel.run(remote_agents.add(new)).agent
        change = RemoteAgentChange(card_url=address, credential=credential, pinned_keys=())
        self._kernel.run(remote_agents.update(agent.id, change))
        return self._kernel.run(agents.activate(agent.id, reason="a demo begins"))

    def _find(self, name: str, kind: AgentKind) -> tuple[str, AgentView | None]:
        """Return an earlier demo's agent, or a free name: retired agents, and those of another kind, keep theirs."""
        wanted = name
        for number in range(2, 100):
            try:
                agent = self._kernel.run(agents.get(name))
            except ProblemError as problem:
                if problem.status != 404:
                    raise
                return name, None
            if agent.state is not AgentState.RETIRED and agent.kind is kind:
                return name, agent
            name = f"{wanted}-{number}"
        raise Stopped(f"there are too many agents named {wanted} that cannot be used")

    def _drop_old_work(self, agent: AgentView) -> None:
        """Cancel what a demo that was killed has left behind; it would come first."""
        for state in set(TaskState) - FINAL:
            for task in self._kernel.run(tasks.listing(agent=agent.id, state=state)).items:
                self._kernel.run(tasks.cancel(task.id, reason="left behind by an earlier demo"))

    def _forget(self, agent: AgentView) -> None:
        """Remove what an earlier demo's agent has found: this one is to find it by itself first."""
        while found := self._kernel.run(memory.listing(f"agent:{agent.id}/{FINDINGS}")).items:
            for event in found:
                self._kernel.run(memory.delete(event.id, reason="a demo begins"))

    def _new_key(self, agent: AgentView) -> NewKeyView:
        while True:
            made = self._kernel.run(keys.create_for(agent.id, NewAgentKey(name="demo", expires_in_s=KEY_LIFETIME_S)))
            if made.secret:
                return made
            self._kernel.run(keys.revoke(made.key.id, reason="the answer with its secret was lost"))

    def _await_address(self, member: Member) -> str:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            self.check()
            for line in self._log(member.role).read_text("utf-8", errors="replace").splitlines():
                if line.startswith("ready "):
                    return line.removeprefix("ready ").strip()
            time.sleep(PAUSE_S)
        raise Stopped(f"the {member.role} has not said where it is in {PATIENCE_S:g} s")

    def _await_sign_of_life(self, member: Member, before: AgentView) -> AgentView:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            self.check()
            agent = self._kernel.run(agents.get(before.id))
            if agent.last_seen_at is not None and agent.last_seen_at != before.last_seen_at:
                return agent
            time.sleep(PAUSE_S)
        raise Stopped(f"the {member.role} has sent no sign of life in {PATIENCE_S:g} s")

    def _log(self, role: str) -> Path:
        return self.desk / f"{role}.log"

    def _key_file(self, role: str) -> Path:
        return self.desk / f"{role}.key"


def libraries() -> str:
    """Return where a process of ours finds what this one has."""
    return os.pathsep.join(filter(None, sys.path))


def write_secret(path: Path, secret: str) -> None:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(secret)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process, by force where it does not listen."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
