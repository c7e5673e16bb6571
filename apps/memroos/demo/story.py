"""What happens, in order."""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict

from memroos import audit
from memroos.demo.conversation import Conversation
from memroos.demo.crew import TAG, Crew
from memroos.demo.errors import Stopped
from memroos.demo.kernel import Kernel
from memroos.demo.pages import QUESTION, documentation, question_about
from memroos.demo.proof import find_fault
from memroos.demo.recollection import Recollection
from memroos.demo.stage import (
    AT_WORK,
    HELD,
    PROVED,
    RECALLED,
    ROUTED,
    STREAMED,
    WHOLE_LEDGER,
    WRITTEN,
    Stage,
    printable,
)
from memroos_client import ClientError, ProblemError
from memroos_client.calls import approvals, memory, tasks
from memroos_client.calls import audit as ledger
from memroos_contracts.governance import ApprovalState, ApprovalView
from memroos_contracts.memory import RecallRequest
from memroos_contracts.registry import AgentView
from memroos_kit import lock
from memroos_kit.ids import new_id

TIDYING_S = 5.0
"""How long the end waits for a kernel that is gone."""


class Story:
    """The demo, chapter by chapter.

    Args:
        kernel: against which.
        crew: who works.
        stage: where it is told.
        key: the operator's, for A2A.
    """

    def __init__(self, kernel: Kernel, crew: Crew, stage: Stage, key: str) -> None:
        self._kernel = kernel
        self._crew = crew
        self._stage = stage
        self._key = key
        self._talks: list[Conversation] = []

    def tell(self, folder: Path | None, question: str, agrees: Callable[[ApprovalView], bool]) -> None:
        """Tell it from the beginning to the ledger.

        Raises:
            ClientError, A2AError, Stopped: it cannot go on.
        """
        folder = documentation() if folder is None else folder.resolve()
        question = question or (QUESTION if folder == documentation() else question_about(folder))
        self._stage.say(f"A small piece of work on {self._kernel.url}, from the question to the ledger.")
        self._hire(folder)
        report, context = self._research(question)
        approval = self._publish(report, context, question, agrees)
        self._recall(question, context)
        recollection = Recollection(self._kernel, self._crew, self._stage)
        recollection.tell(folder, question, partial(self._send, "research", "Answer the demo's second question."))
        self._prove(approval, report)

    def _hire(self, folder: Path) -> None:
        self._stage.chapter("Two agents register and start to work")
        researcher = self._crew.start_remote("researcher", folder)
        self._introduce(researcher, "a server of its own that the kernel calls over A2A")
        does = "Writes a text to a file, after asking."
        publisher = self._crew.start("publisher", "publish", does, self._crew.desk)
        self._introduce(publisher, "comes to the kernel for its work")
        self._stage.say(f"   The researcher reads {folder}; the publisher writes to {self._crew.desk}.")
        self._stage.saw(AT_WORK)

    def _introduce(self, agent: AgentView, how: str) -> None:
        skills = ", ".join(skill.id for skill in agent.skills)
        self._stage.say(f"   {agent.name} ({agent.id}), skill {skills}, is {agent.liveness}: {agent.description}")
        self._stage.say(f"      {how}")

    def _research(self, question: str) -> tuple[str, str]:
        """Send the question; return the report, and the context it belongs to."""
        self._stage.chapter("A question goes to whoever has the skill 'research', over A2A")
        self._stage.say(f"   {question}")
        talk = self._send("research", "Answer the demo's question.", a2a_pb2.Part(text=question))
        talk.follow()
        self._stage.saw(ROUTED, self._show_route(talk))
        report = talk.artifact("report").text
        self._stage.quote(report)
        return report, talk.task.context_id

    def _publish(
        self, report: str, context: str, question: str, agrees: Callable[[ApprovalView], bool]
    ) -> ApprovalView:
        """Have the report written, with a person's leave."""
        self._stage.chapter("The report goes to whoever has the skill 'publish'")
        part = a2a_pb2.Part(text=report, filename="report.md", media_type="text/markdown")
        talk = self._send("publish", f"Publish the answer to: {question}", part, context=context)
        talk.follow(until_held=True)
        self._show_route(talk)
        if not talk.approval_id:
            raise Stopped(f"policy did not hold the write; the task is {talk.state}")

        approval = self._kernel.run(approvals.get(talk.approval_id))
        self._stage.chapter("Policy holds the step until a person has answered")
        self._show_approval(approval)
        digest = sha256(report.encode()).hexdigest()
        self._stage.saw(HELD, approval.arguments.get("sha256") == digest)
        same = "is" if approval.arguments.get("sha256") == digest else "is NOT"
        self._stage.say(f"   The digest {same} that of the report above.")
        approval = self._answer(approval, yes=agrees(approval))
        self._stage.say(f"   {approval.state} by {approval.answered_by}")
        talk.follow()
        # A connection that breaks at the wrong moment leaves one task without events between two looks, not both.
        self._stage.saw(STREAMED, any(each.streamed for each in self._talks))
        if approval.state is not ApprovalState.APPROVED:
            raise Stopped("the answer was no, so nothing was written")

        path = Path(MessageToDict(talk.artifact("file").data)["path"])
        self._stage.say(f"   {path}")
        self._stage.saw(WRITTEN, path.is_file() and path.read_bytes() == report.encode())
        return approval

    def _recall(self, question: str, context: str) -> None:
        self._stage.chapter("Memory recalls it")
        found = self._kernel.run(memory.recall(RecallRequest(query=question, limit=6, context_id=context)))
        for item in found.items:
            snippet = printable(" ".join(item.snippet.split()))
            self._stage.say(f"   {item.item.event_kind:8} {item.score:6.2f}  {snippet[:90]}")
        self._stage.saw(RECALLED, bool(found.items))

    def _prove(self, approval: ApprovalView, report: str) -> None:
        self._stage.chapter("The ledger proves it")
        recorded = self._kernel.run(ledger.by_decision(approval.decision_id)).items
        for event in recorded:
            self._stage.say(f"   no. {event.seq}  {event.kind}  {event.action}  by {event.actor.role}:{event.actor.id}")
        digest = sha256(report.encode()).hexdigest()
        published = next((e for e in recorded if e.facts.get("result_digest") == digest), None)
        if published is None:
            raise Stopped("the ledger holds no report about the file that was written")
        proof = self._kernel.run(ledger.prove_inclusion(published.id))  # waits for the next signed head
        fault = find_fault(proof, self._kernel.run(ledger.key()).verifier, digest)
        self._stage.saw(PROVED, not fault)
        if fault:
            raise Stopped(f"the ledger's proof does not hold: {fault}")
        self._stage.say(
            f"   Checked here with the ledger's public key alone: event no. {proof.leaf_index + 1} names the"
        )
        self._stage.say(f"   file's digest, and {len(proof.hashes)} hashes lead from it to the root that was signed.")

    def verify_file(self, data_dir: Path | None) -> None:
        """Verify the whole ledger from its file, where it is on this machine."""
        if data_dir is None or not _belongs_to(data_dir, self._kernel.url):
            return
        self._stage.saw(WHOLE_LEDGER, False)
        report = audit.verify(data_dir / "conversations.db")
        self._stage.saw(WHOLE_LEDGER, report.ok)
        found = "fit together" if report.ok or report.misfit is None else report.misfit.reason
        self._stage.say(f"   From the file, as `memroos audit verify` does: {report.events} events {found}.")

    def tidy_up(self) -> None:
        """Cancel what is still open, stop the agents and take them out of service."""
        self._kernel.patience_s = TIDYING_S
        try:
            for talk in self._talks:
                if talk.task.id and not talk.over:
                    self._kernel.run(tasks.cancel(talk.task.id, reason="the demo is over"))
        except ClientError as error:
            self._stage.say(f"   An open task is left behind: {error}")
        try:
            self._crew.dismiss()
        except ClientError as error:
            self._stage.say(f"   The demo's agents are left in service: {error}")

    def _send(self, skill: str, purpose: str, part: a2a_pb2.Part, *, context: str = "") -> Conversation:
        """Have a task begin; nothing of it has been followed yet."""
        message = a2a_pb2.Message(message_id=new_id("msg"), role=a2a_pb2.ROLE_USER, parts=[part], context_id=context)
        message.metadata.update({"memroos.skill": skill, "memroos.tags": [TAG], "memroos.purpose": purpose})
        talk = Conversation(self._kernel, self._key, message, show=self._stage.say, check=self._crew.check)
        self._talks.append(talk)
        return talk

    def _show_route(self, talk: Conversation) -> bool:
        reason = talk.facts.get("route", "")
        self._stage.say(f"   Routed to {talk.facts.get('agent')}. The reason: {reason}")
        return bool(reason)

    def _show_approval(self, approval: ApprovalView) -> None:
        self._stage.say(f"   Approval  {approval.id}")
        self._stage.say(f"   Who       {approval.requester}")
        self._stage.say(f"   Action    {approval.action} on {printable(approval.asset)}")
        for name, value in sorted(approval.arguments.items()):
            self._stage.say(f"             {name} = {printable(str(value))}")
        self._stage.say(f"   Purpose   {printable(approval.purpose)}")
        self._stage.say(f"   Reason    {approval.reason} (policy {', '.join(approval.policies)})")

    def _answer(self, approval: ApprovalView, *, yes: bool) -> ApprovalView:
        """Answer; where an answer was lost on its way, or somebody was faster, return what was answered."""
        verb = approvals.approve if yes else approvals.reject
        try:
            return self._kernel.run(verb(approval.id, note="Answered in the demo."))
        except ProblemError:
            answered = self._kernel.run(approvals.get(approval.id))
            if answered.state is ApprovalState.PENDING:
                raise
            return answered


def _belongs_to(data_dir: Path, url: str) -> bool:
    """Whether the kernel at this address works on this directory."""
    try:
        holder = lock.find_holder(data_dir / "kernel.lock")
    except lock.AlreadyRunning:
        return False
    return holder is not None and holder.address == url
