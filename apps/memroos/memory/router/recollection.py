"""Reminding agents at the start of a task, trying rules on recorded tasks, and finding out whether it helped."""

import asyncio
import time

import structlog

from memroos.memory.queries import recollection as queries
from memroos.memory.queries.traces import list_recollections
from memroos.memory.router.recalls import Recalls
from memroos.memory.router.service import Service, viewer_of
from memroos.memory.rules import ids
from memroos.memory.rules import recollection as rules
from memroos.memory.service import recollection as verbs
from memroos.memory.service.recollection import Reminder
from memroos_contracts import prompts
from memroos_contracts.errors import MemroosError
from memroos_contracts.governance import INTERNAL, Label
from memroos_contracts.identity import Actor, AgentId, Role, WorkspaceId, service_actor
from memroos_contracts.memory import RecallItem, RecallRequest, RecallResult
from memroos_contracts.recollection import (
    DryRunReport,
    DryRunRequest,
    DryRunRow,
    MemoryTraceView,
    RecollectionPolicyView,
    RecollectionRule,
)

REMIND_S = 2.0
"""Longest time an agent waits for a reminder; its task is more important."""

LONGEST_QUERY = 4_000
HITS_MAX = 100

_log = structlog.get_logger(__name__)


class Recollection:
    """Offers memory without being asked, where a policy says so."""

    def __init__(self, service: Service, recalls: Recalls) -> None:
        self._service = service
        self._db = service.db
        self._recalls = recalls

    async def remind(self, actor: Actor, *, task_id: str, purpose: str, text: str, label: Label = INTERNAL) -> str:
        """Return what an agent is reminded of at the start of a task; empty where no policy says so, or it abstains.

        It never fails and never takes long: a task does not wait for a memory. What was handed out is on record first.

        Args:
            actor: the agent, as whom memory is asked.
            text: what the task asks for.
            label: of the task; a trace of what is private does not keep what was asked.
        """
        try:
            # Inline: every task that is claimed comes through here.
            policies = self._db.read_inline(actor, queries.list_holding, actor.agent or "", purpose)
            policy = rules.most_particular(policies)
            return "" if policy is None else await self._remind(actor, policy, task_id, text, label)
        except MemroosError as error:  # denied, or the disk is full: the task goes on without
            _log.warning("nobody was reminded", task_id=task_id, problem=error.slug())
            return ""

    async def _remind(self, actor: Actor, policy: RecollectionPolicyView, task_id: str, text: str, label: Label) -> str:
        began = time.perf_counter()
        rule = policy.rule
        abstained = rules.why_abstain(rule, text)
        found: RecallResult | None = None
        hits: list[RecallItem] = []
        if not abstained:
            try:
                async with asyncio.timeout(REMIND_S):
                    found = await self._recalls.find(actor, _question(rule, text))
                hits = rules.admit(rule, found.items, task_id=task_id, asked=text)
            except TimeoutError:
                abstained = "memory did not answer in time"
            except MemroosError as error:
                abstained = error.detail
        reminder = Reminder(
            policy=policy,
            task_id=task_id,
            query=text[:LONGEST_QUERY],
            label=label,
            found=len(found.items) if found is not None else 0,
            hits=hits,
            arms=found.arms if found is not None else (),
            missing=found.missing if found is not None else (),
            abstained=abstained,
            took_s=time.perf_counter() - began,
        )
        return await self._db.write(actor, verbs.remind, reminder)

    async def try_rule(self, actor: Actor, request: DryRunRequest) -> DryRunReport:
        """Say what a rule would have handed out at recorded tasks; nothing is handed out, and no trace is left.

        Raises:
            Denied: policy does not let this actor try rules.
        """
        wanted = request.agent_id or None
        tasks = await self._db.read(actor, queries.list_recorded_tasks, agent_id=wanted, most=request.tasks)
        rows = [await self._try(actor.workspace, request.rule, task) for task in tasks]
        reminded = [row for row in rows if row.items]
        return DryRunReport(rows, len(reminded), sum(row.tokens for row in reminded))

    async def _try(self, workspace: WorkspaceId, rule: RecollectionRule, task: queries.RecordedTask) -> DryRunRow:
        abstained = rules.why_abstain(rule, task.text)
        found: list[RecallItem] = []
        if not abstained:
            try:
                agent = agent_actor(task.agent_id, workspace)
                found = (await self._recalls.find(agent, _question(rule, task.text), to_hand_out=False)).items
            except MemroosError as error:
                abstained = error.detail
        hits = rules.admit(rule, found, task_id=task.task_id, asked=task.text)
        written, taken = prompts.write(hits[: rule.limit], budget=rules.budget(rule), form="text")
        if not taken and not abstained:
            abstained = rules.why_nothing(rule, len(found), len(hits))
        taken_ids = [hit.item.id for hit in taken]
        return DryRunRow(task.task_id, task.agent_id, taken_ids, prompts.tokens_of(written), abstained)

    async def look_back(self, workspace: WorkspaceId, task_id: str) -> int:
        """Note which reminders came back in what the agent said in a task; returns how many did. May be repeated."""
        kernel = service_actor("kernel", workspace)
        used = 0
        for trace in await self._db.read(kernel, list_recollections, task_id):
            said = await self._db.read(kernel, queries.list_said, task_id, trace.agent_id)
            texts = {hit.item_id: await self._text(kernel, trace, hit.item_id) for hit in trace.hits}
            came_back = frozenset(
                item_id for item_id, memory in texts.items() if rules.was_used(memory, trace.query or "", said)
            )
            await self._db.write(kernel, verbs.mark_used, trace, came_back)
            used += len(came_back)
        return used

    async def _text(self, kernel: Actor, trace: MemoryTraceView, item_id: str) -> str:
        if ids.is_event(item_id):
            return await self._db.read(kernel, queries.find_text, item_id)
        try:
            item = await self._service.store.get_item(viewer_of(agent_actor(trace.agent_id, kernel.workspace)), item_id)
        except MemroosError:  # away or gone: what cannot be compared does not count as used
            return ""
        return item.text or ""


def agent_actor(agent_id: str, workspace: WorkspaceId) -> Actor:
    """Return an agent as the reader of its own memory, where it does not call itself."""
    return Actor(role=Role.AGENT, id=agent_id, workspace=workspace, agent=AgentId(agent_id))


def _question(rule: RecollectionRule, text: str) -> RecallRequest:
    # More than may enter: labels and the task's own messages take some away.
    most = min(HITS_MAX, rule.limit * 3)
    return RecallRequest(query=text[:LONGEST_QUERY], limit=most, item_kinds=rule.kinds)
