"""The kernel's settings: one frozen struct, safe for a laptop, read once."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from memroos_kit import outbound
from memroos_kit.settings import Secret

OPERATOR_KEY_FILE = "operator.key"
SECRETS_KEY_FILE = "secrets.key"
MEMORY_KEY_FILE = "memory.key"
SHORTEST_OPERATOR_KEY = 32

AtLeastOne = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0.1, le=86_400)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may choose about the kernel."""

    data_dir: Path = Path("data")
    """Directory of the database, the ledger's signing key and the generated operator key. It is created with access
    for its owner only; back it up with `memroos backup`."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """Address to listen on. The default is reachable from this machine only; any other address needs an operator key
    that was set on purpose (`MEMROOS_OPERATOR_API_KEY` or `MEMROOS_OPERATOR_API_KEY_FILE`)."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 7700
    """TCP port to listen on; 0 takes any free one and logs it."""

    grpc_port: Annotated[int, Meta(ge=0, le=65_535)] = 7710
    """TCP port of the A2A gRPC door, on the same host; 0 takes any free one and logs it."""

    grpc: bool = True
    """Whether there is a gRPC door."""

    grpc_public_address: str = ""
    """`host:port` under which others reach the gRPC door; agent cards carry it. Empty means the host of `public_url`,
    or `host`, with the port it listens on."""

    public_url: Annotated[str, Meta(pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$")] = ""
    """Address under which others reach the kernel, `https://agents.example` for instance. Agent cards and links carry
    it, never a Host header. Empty means `http://<host>:<port>`."""

    operator_api_key: Secret | None = None
    """The operator's key, at least 32 characters, 10 of them different, without spaces. Without one, the first start
    writes a random key into `MEMROOS_OPERATOR_API_KEY_FILE`: there is no default password."""

    operator_api_key_file: Path | None = None
    """File with the operator's key. If it does not exist, the first start writes a random key into it, readable by its
    owner only. Empty means `operator.key` in the data directory."""

    body_limit_bytes: Annotated[int, Meta(ge=1_024, le=1_073_741_824)] = 1_048_576
    """Largest request body, in bytes; a larger one is answered with 413 before it is parsed. 1 MiB holds any message
    that belongs in a conversation; larger things are passed by reference."""

    page_size_max: Annotated[int, Meta(ge=1, le=1_000)] = 100
    """Most entries a listing returns at once. 100 is the most that A2A allows for its task list."""

    write_queue: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    """Most changes that wait for the writer; beyond it callers get 503 with Retry-After. 4096 is about half a second
    of writing on a small machine, so nobody waits longer than that for an answer."""

    batch_max: Annotated[int, Meta(ge=1, le=4_096)] = 256
    """Most changes that share one commit. Larger batches hardly write faster and make the last caller wait longer."""

    read_threads: Annotated[int, Meta(ge=1, le=64)] = 4
    """Threads for reading; each holds one read-only connection. More than a few do not help one process."""

    streams_per_key: Annotated[int, Meta(ge=1, le=100_000)] = 64
    """Open event and task streams per key; one more is answered with 429. An agent needs one or two; 64 leaves room for
    a gateway that follows many tasks with one key."""

    requests_per_minute: Annotated[int, Meta(ge=1, le=100_000_000)] = 60_000
    """Requests per minute and key, on average; beyond it 429 with Retry-After. Generous on purpose: it stops a runaway
    loop from starving the others, not a busy agent."""

    request_burst: Annotated[int, Meta(ge=1, le=100_000_000)] = 4_000
    """Requests a key may make at once after a pause, before the rate per minute applies."""

    wait_max_s: Annotated[float, Meta(ge=1, le=300)] = 30.0
    """Longest time a long poll or a blocking send is held open, in seconds. Below the 60 seconds after which most
    proxies give up."""

    approval_ttl_s: Annotated[int, Meta(ge=1, le=31_536_000)] = 86_400
    """Time an approval waits for an answer before it expires, in seconds. A day covers a night."""

    decision_ttl_s: Annotated[int, Meta(ge=1, le=86_400)] = 3_600
    """Time within which an agent may act on a decision it asked for, in seconds; then it must ask again, because policy
    and circumstances may have changed."""

    idempotency_ttl_s: Annotated[int, Meta(ge=60, le=31_536_000)] = 86_400
    """Time for which a repeated `Idempotency-Key` finds the first answer, in seconds. Retries come within minutes; a
    day survives an outage."""

    key_overlap_s: Annotated[int, Meta(ge=0, le=2_592_000)] = 3_600
    """Time for which the old key still works after a rotation, in seconds, so that no request fails in between."""

    policy_dir: Path | None = None
    """Folder with policies of your own (`*.cedar`), read beside the shipped ones at the start. A set that does not
    validate stops the start. Empty means the shipped set alone."""

    default_agent: str = ""
    """Who gets an A2A message to the kernel's own endpoint that names neither skill nor tag: an agent's name. Empty
    means that such a message is refused with a word on how to address it."""

    witness_file: Path | None = None
    """File to which each signed head of the ledger is appended, on another disk or a mounted machine: what was sealed
    there can no longer be rewritten here unnoticed. Empty means none."""

    seal_interval_s: Seconds = 1.0
    """Longest time between two signed heads of the ledger, in seconds, while there are new events. What came after the
    last signed head could be cut off unnoticed, so it is short; a signature costs 20 microseconds."""

    seal_every: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
    """Most ledger events between two signed heads."""

    event_retention_days: Annotated[float, Meta(ge=0.01, le=36_500)] = 7.0
    """How long the event log keeps events for readers that were away, in days; a reader that comes later gets `reset`
    and reads the present state. The audit ledger is not touched by this."""

    stream_queue: Annotated[int, Meta(ge=16, le=1_000_000)] = 1_024
    """Events that wait for one slow reader; beyond it the stream is cut, and the reader resumes from its last event
    id. It bounds the memory one reader can hold."""

    keepalive_s: Annotated[float, Meta(ge=1, le=300)] = 15.0
    """Time between two comments on a quiet stream, in seconds, so that proxies and dead connections are noticed."""

    shutdown_grace_s: Annotated[float, Meta(ge=0.5, le=600)] = 5.0
    """Time from SIGTERM to the end of the process, in seconds: streams end at once, requests in flight are finished."""

    outbound_allow: tuple[str, ...] = ()
    """Where the kernel may connect to at a caller's wish (agent cards, webhooks): host names, `*.suffixes`, addresses,
    networks such as `100.64.0.0/10`, each name or address optionally with `:port`, or `*` for every public address.
    Private and special addresses need an entry of their own, also behind a listed name. Empty means nowhere."""

    outbound_timeout_s: Annotated[float, Meta(ge=0.1, le=300)] = 20.0
    """Longest time for one outgoing request from connect to the last byte, in seconds."""

    outbound_max_bytes: Annotated[int, Meta(ge=1_024, le=1_073_741_824)] = 1_048_576
    """Largest answer taken from another host, in bytes."""

    secrets_key_file: Path | None = None
    """File with the key that encrypts credentials of remote agents and webhooks (32 random bytes, base 64). If it does
    not exist, the first start writes one, readable by its owner only. Empty means `secrets.key` in the data
    directory."""

    hops_max: Annotated[int, Meta(ge=1, le=100)] = 8
    """How many brokers a message may have come through before this one; one more is refused. It ends loops that do not
    come back here."""

    open_tasks_per_caller: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000
    """How many open tasks a caller may have; one more is answered with 429. It keeps one runaway caller from filling
    every agent's queue."""

    open_tasks_per_agent: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    """How many open tasks an agent may have waiting and running; one more is answered with 429."""

    remote_silence_s: Annotated[float, Meta(ge=1, le=604_800)] = 600.0
    """How long a remote agent may stay unreachable while it has a task, in seconds; then the task fails and says so."""

    remote_poll_s: Annotated[float, Meta(ge=0.05, le=3_600)] = 5.0
    """How often a remote task is asked for where its agent cannot stream, in seconds; backoff with jitter on top."""

    remote_events_max: Annotated[int, Meta(ge=10, le=1_000_000)] = 20_000
    """How many events a task at a remote agent may have; an agent that never comes to an end has failed its task."""

    remote_bytes_max: Annotated[int, Meta(ge=1_024, le=17_179_869_184)] = 67_108_864
    """How much a remote agent may say in one task, in bytes; more fails it."""

    push_attempts: Annotated[int, Meta(ge=1, le=1_000)] = 12
    """After how many failed tries in a row a webhook is given up; its configuration shows it, and can be replayed."""

    push_backoff_s: Annotated[float, Meta(ge=0.01, le=3_600)] = 1.0
    """Pause after the first failed try of a webhook, in seconds; it doubles each time, up to an hour, with jitter."""

    memory_url: Annotated[str, Meta(pattern=r"^(https?://[^\s/?#@]+)?$")] = "http://127.0.0.1:7701"
    """Address of the memory service. While nothing answers there, what is written is kept and handed over later, and
    recall searches by words. `memroos up` starts one where this is left alone; empty means that there is none."""

    memory_key: Secret | None = None
    """The key by which the memory service knows the kernel, at least 32 characters. Without one, whoever of the two
    starts first writes a random one into `MEMROOS_MEMORY_KEY_FILE`."""

    memory_key_file: Path | None = None
    """File with that key, readable by its owner only. Empty means `memory.key` in the data directory."""

    memory_timeout_s: Annotated[float, Meta(ge=0.1, le=300)] = 10.0
    """Longest wait for an answer of the memory service, in seconds; then recall answers by words."""

    memory_trace_days: Annotated[float, Meta(ge=0.01, le=36_500)] = 90.0
    """How long it is kept what memory handed out to whom, in days. The ledger has it for ever, without questions."""

    otel_endpoint: str = ""
    """Address of an OpenTelemetry collector (OTLP over HTTP), `http://127.0.0.1:4318` for instance; needs the extra
    `memroos[otel]`. Empty means no spans; trace contexts are passed on either way."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe entries that are written. `debug` adds one line per request."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """Form of the log: JSON lines for machines, or coloured lines for people. `auto` takes the latter on a terminal."""

    def __post_init__(self) -> None:
        """Refuse combinations that are each allowed, but not together."""
        key = self.operator_api_key.reveal() if self.operator_api_key else None
        if key is not None and (len(key) < SHORTEST_OPERATOR_KEY or any(c.isspace() for c in key)):
            raise ValueError(
                f"MEMROOS_OPERATOR_API_KEY: it must have at least {SHORTEST_OPERATOR_KEY} characters and no spaces"
            )
        if key is None and self.operator_api_key_file is None and not self.listens_on_loopback:
            raise ValueError(
                f"MEMROOS_HOST: {self.host!r} is reachable from other machines; set MEMROOS_OPERATOR_API_KEY or "
                "MEMROOS_OPERATOR_API_KEY_FILE first, or listen on 127.0.0.1"
            )
        try:
            outbound.Guard(allow=self.outbound_allow)
        except ValueError as error:
            raise ValueError(f"MEMROOS_OUTBOUND_ALLOW: {error}") from error

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the kernel."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def operator_key_path(self) -> Path:
        """The file that holds the operator's key, or will after the first start."""
        return self.operator_api_key_file or self.data_dir / OPERATOR_KEY_FILE

    @property
    def secrets_key_path(self) -> Path:
        """The file with the key that encrypts credentials, or will be after the first start."""
        return self.secrets_key_file or self.data_dir / SECRETS_KEY_FILE

    @property
    def memory_key_path(self) -> Path:
        """The file with the memory service's key, or where it will be."""
        return self.memory_key_file or self.data_dir / MEMORY_KEY_FILE

    @property
    def base_url(self) -> str:
        """The address that cards and links carry, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"
