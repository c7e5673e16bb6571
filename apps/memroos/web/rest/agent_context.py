"""The context bus over REST: send to agents, and work off one's own inbox."""

from datetime import timedelta
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from memroos import bus
from memroos.web.long_poll import LongPoll
from memroos_contracts.bus import (
    Deliveries,
    Delivery,
    ExtendRequest,
    InboxMessage,
    InboxMessageView,
    InboxState,
    NackRequest,
    NewInboxMessage,
    ReceiveRequest,
    ReplyRequest,
    Settlement,
)
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.identity import Actor, AgentId, InboxMessageId
from memroos_contracts.pages import Page
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Once = NamedDependency[Idempotency | None]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
WaitS = Annotated[float, QueryParameter(ge=0, le=300)]


class AgentContextController(Controller):
    """Messages between agents: sent, handed out under a lease, looked after."""

    path = "/api/agent-context"
    tags = ("inbox",)

    @post("/", operation_id="sendInboxMessage")
    async def send(
        self,
        data: JSONBody[NewInboxMessage],
        db: Db,
        actor: Caller,
        idempotency: Once,
    ) -> InboxMessageView:
        """Put a message into an agent's inbox; it is delivered at least once."""
        return await db.write(
            actor,
            bus.send,
            to=data.to,
            kind=data.kind,
            body=data.body,
            context_id=data.context_id,
            correlation_id=data.correlation_id,
            idempotency_key=_key(idempotency),
            priority=data.priority,
            not_before=db.clock.now() + timedelta(seconds=data.delay_s) if data.delay_s else None,
            ttl_s=data.ttl_s,
            label=data.label,
        )

    @post("/receive", operation_id="receiveInboxMessages", status_code=200)
    async def receive(
        self,
        data: JSONBody[ReceiveRequest],
        db: Db,
        actor: Caller,
        long_poll: NamedDependency[LongPoll],
        wait_s: WaitS = 0,
    ) -> Deliveries:
        """Take the next messages under a lease, waiting for up to `wait_s` seconds; empty when none came.

        Work that belongs to a task is not here: claim it under `/api/tasks`.
        """
        items = await long_poll.take(actor, wait_s, lambda: _receive(db, actor, data))
        return Deliveries(items)

    @get("/", operation_id="listInboxMessages")
    async def list_messages(
        self,
        db: Db,
        actor: Caller,
        agent: FromQuery[str | None] = None,
        message_state: FromQuery[InboxState | None] = None,
        limit: Limit = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[InboxMessageView]:
        """List an inbox without contents, newest first: your own, or that of `agent`, which is an agent's id."""
        inbox = agent or actor.agent
        if inbox is None:
            raise InvalidRequest("Name the agent whose inbox you want to see.", fields={"agent": "is needed"})
        return await db.read(actor, bus.list_messages, AgentId(inbox), state=message_state, limit=limit, cursor=cursor)

    @get("/dead", operation_id="listDeadLetters")
    async def list_dead(
        self,
        db: Db,
        actor: Caller,
        agent: FromQuery[str | None] = None,
        limit: Limit = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[InboxMessageView]:
        """List dead letters without contents, newest first: your own, or those of the workspace or of one agent."""
        inbox = AgentId(agent) if agent else None
        return await db.read(actor, bus.list_dead, inbox, limit=limit, cursor=cursor)

    @get("/{message:str}", operation_id="readInboxMessage")
    async def read_message(self, message: FromPath[str], db: Db, actor: Caller) -> InboxMessage:
        """Return a message with its content; the ledger keeps who read it."""
        return await db.write(actor, bus.read_message, InboxMessageId(message))

    @post("/{message:str}/requeue", operation_id="requeueInboxMessage", status_code=200)
    async def requeue(self, message: FromPath[str], db: Db, actor: Caller) -> InboxMessageView:
        """Put a dead letter back: it is offered again with all its attempts."""
        return await db.write(actor, bus.requeue, InboxMessageId(message))


class LeaseController(Controller):
    """Messages that were handed out, as their receivers settle them."""

    path = "/api/agent-context"
    tags = ("inbox",)

    @post("/{message:str}/ack", operation_id="ackInboxMessage", status_code=200)
    async def ack(self, message: FromPath[str], data: JSONBody[Settlement], db: Db, actor: Caller) -> InboxMessageView:
        """Say that it is done. Saying it again with the same token changes nothing."""
        return await db.write(actor, bus.ack, InboxMessageId(message), data.fencing_token)

    @post("/{message:str}/nack", operation_id="nackInboxMessage", status_code=200)
    async def nack(
        self, message: FromPath[str], data: JSONBody[NackRequest], db: Db, actor: Caller
    ) -> InboxMessageView:
        """Say that it did not work: it comes again later, or is dead after its last attempt."""
        return await db.write(
            actor, bus.nack, InboxMessageId(message), data.fencing_token, delay_s=data.delay_s, reason=data.reason
        )

    @post("/{message:str}/extend", operation_id="extendInboxLease", status_code=200)
    async def extend(
        self,
        message: FromPath[str],
        data: JSONBody[ExtendRequest],
        db: Db,
        actor: Caller,
    ) -> InboxMessageView:
        """Ask for more time: the lease ends `lease_s` seconds from now."""
        return await db.write(actor, bus.extend, InboxMessageId(message), data.fencing_token, lease_s=data.lease_s)

    @post("/{message:str}/release", operation_id="releaseInboxMessage", status_code=200)
    async def release(
        self, message: FromPath[str], data: JSONBody[Settlement], db: Db, actor: Caller
    ) -> InboxMessageView:
        """Give it back unworked: it is offered again at once, and the attempt does not count."""
        return await db.write(actor, bus.release, InboxMessageId(message), data.fencing_token)

    @post("/{message:str}/reply", operation_id="replyToInboxMessage")
    async def reply(
        self, message: FromPath[str], data: JSONBody[ReplyRequest], db: Db, actor: Caller, idempotency: Once
    ) -> InboxMessageView:
        """Answer its author; the message itself stays as it is until you ack it."""
        return await db.write(
            actor,
            bus.reply,
            InboxMessageId(message),
            body=data.body,
            kind=data.kind,
            label=data.label,
            idempotency_key=_key(idempotency),
        )


def _key(idempotency: Idempotency | None) -> str | None:
    return None if idempotency is None else idempotency.key


async def _receive(db: Database, actor: Actor, wish: ReceiveRequest) -> list[Delivery]:
    return await db.write(
        actor,
        bus.receive,
        AgentId(actor.agent or ""),
        max_messages=wish.max_messages,
        lease_s=wish.lease_s,
        tasks=False,
    )
