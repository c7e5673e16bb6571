"""The demo's two agents: registered, at work, and at the end out of service again."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from memroos.demo.errors import Stopped
from memroos.demo.kernel import PATIENCE_S, PAUSE_S, Kernel
from memroos.demo.pages import documentation
from memroos_client import ProblemError
from memroos_client.calls import agents, keys, tasks
from memroos_contracts.broker import FINAL, TaskState
from memroos_contracts.registry import AgentKind, AgentSkill, AgentState, AgentView, NewAgent, NewAgentKey, NewKeyView

TAG = "demo"
"""Beside the skill, so that the demo's work goes to the demo's agents even where others have the same skills."""

KEY_LIFETIME_S = 3_600
"""The agents' keys end by themselves if the demo is killed before it can revoke them."""

STOP_S = 5.0


class Member(msgspec.Struct):
    """One of the demo's agents, and its process."""

    role: str
    agent: AgentView
    process: subprocess.Popen[bytes] | None = None
    key_id: str = ""


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

    def start(self, role: str, skill: str, does: str, folder: Path) -> AgentView:
        """Register an agent, or find it from an earlier demo, and start its process.

        Raises:
            Stopped: its program is not there, or it says nothing.
        """
        program = documentation() / "examples" / f"{role}.py"
        wanted = NewAgent(
            name=f"demo-{role}",
            kind=AgentKind.REST,
            title=f"The demo's {role}",
            description=does,
            state=AgentState.ACTIVE,
            skills=(AgentSkill(id=skill, name=skill.capitalize(), description=does, tags=(TAG,)),),
        )
        member = self._members[role] = Member(role, self._ensure(wanted))
        self._drop_old_work(member.agent)
        made = self._new_key(member.agent)
        member.key_id = made.key.id
        with self._log(role).open("wb") as log:
            member.process = subprocess.Popen(  # noqa: S603 - our own program; its key stays off the command line
                [sys.executable, "-u", str(program), str(folder)],
                env=_environment(self._kernel.url, made.secret),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self._await_sign_of_life(member)

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
                _end(member.process)
        for member in self._members.values():
            if member.key_id:
                self._kernel.run(keys.revoke(member.key_id, reason="the demo is over"))
            self._kernel.run(agents.quarantine(member.agent.id, reason="the demo is over"))

    def _ensure(self, wanted: NewAgent) -> AgentView:
        """Return the agent as it is wanted; the name of a retired one stays taken, so the next free one is used."""
        name = wanted.name
        for number in range(2, 100):
            try:
                agent = self._kernel.run(agents.get(name))
            except ProblemError as problem:
                if problem.status != 404:
                    raise
                return self._kernel.run(agents.create(msgspec.structs.replace(wanted, name=name)))
            if agent.state is not AgentState.RETIRED:
                return self._kernel.run(agents.activate(agent.id, reason="a demo begins"))
            name = f"{wanted.name}-{number}"
        raise Stopped(f"there are too many retired agents named {wanted.name}")

    def _drop_old_work(self, agent: AgentView) -> None:
        """Cancel what a demo that was killed has left behind; it would come first."""
        for state in set(TaskState) - FINAL:
            for task in self._kernel.run(tasks.listing(agent=agent.id, state=state)).items:
                self._kernel.run(tasks.cancel(task.id, reason="left behind by an earlier demo"))

    def _new_key(self, agent: AgentView) -> NewKeyView:
        while True:
            made = self._kernel.run(keys.create_for(agent.id, NewAgentKey(name="demo", expires_in_s=KEY_LIFETIME_S)))
            if made.secret:
                return made
            self._kernel.run(keys.revoke(made.key.id, reason="the answer with its secret was lost"))

    def _await_sign_of_life(self, member: Member) -> AgentView:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            self.check()
            agent = self._kernel.run(agents.get(member.agent.id))
            if agent.last_seen_at is not None and agent.last_seen_at != member.agent.last_seen_at:
                return agent
            time.sleep(PAUSE_S)
        raise Stopped(f"the {member.role} has sent no sign of life in {PATIENCE_S:g} s")

    def _log(self, role: str) -> Path:
        return self.desk / f"{role}.log"


def _environment(url: str, key: str) -> dict[str, str]:
    """Return all that an agent is given: nothing of what is meant for the kernel or its operator."""
    libraries = os.pathsep.join(filter(None, sys.path))
    return {"MEMROOS_URL": url, "MEMROOS_API_KEY": key, "PYTHONPATH": libraries}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
