"""The kernel: one process over one database.

Top layer first; each layer sees only what stands below it::

    cli : supervisor        commands; the process that starts and watches the others
    wiring : demo           builds everything; the story a newcomer sees first
    web                     doors: a2a, rest
    operations              what the operator sees
    push                    push notifications: what happened to a task, sent to whoever asked
    broker                  A2A tasks: accept, route, deliver, mirror
    memory : bus            the memory router; the agent context bus
    governance              may this happen? policies, approvals, decisions
    registry                who exists: workspaces, agents, keys, heartbeats
    events                  the durable event log
    audit                   what happened: sealed, append-only
"""

__version__ = "0.1.0"
