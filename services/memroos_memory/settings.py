"""The memory service's settings: one frozen struct, safe for a laptop, read once."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from memroos_kit.settings import Secret

KEY_FILE = "memory.key"
FOLDER = "memory"
DATABASE = "memory.db"


class MemorySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may choose about the memory service."""

    data_dir: Path = Path("data")
    """Directory of the whole system; the memory service keeps its own in `memory` below it."""

    memory_host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """Address the memory service listens on. Only the kernel talks to it; leave it on this machine."""

    memory_port: Annotated[int, Meta(ge=0, le=65_535)] = 7701
    """TCP port of the memory service; 0 takes any free one and logs it."""

    memory_key: Secret | None = None
    """The key that the kernel comes with. Without one, whoever starts first writes a random one into
    `MEMROOS_MEMORY_KEY_FILE`."""

    memory_key_file: Path | None = None
    """File with that key, readable by its owner only. Empty means `memory.key` in the data directory."""

    embedder: Literal["embedded", "openai", "ollama", "fastembed", "hash"] = "embedded"
    """What makes vectors out of texts: `embedded` is all-MiniLM-L6-v2 inside this process, without any download;
    `openai` any endpoint that speaks OpenAI's embeddings; `hash` counts words, for tests and tiny machines. A change
    re-embeds everything in the background, and the old vectors answer meanwhile."""

    embedder_model: str = ""
    """The model at the endpoint, `text-embedding-3-small` for instance. Empty means the provider's usual one."""

    embedder_url: str = ""
    """Base address of the endpoint, `http://127.0.0.1:11434/v1` for instance."""

    embedder_key: Secret | None = None
    """Key for the endpoint."""

    embedder_dimension: Annotated[int, Meta(ge=8, le=8_192)] = 384
    """Length of the vectors."""

    embedder_threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """Threads that embed; each holds what one batch needs, about 100 MB."""

    vector_store: Literal["edge", "qdrant"] = "edge"
    """Where vectors are searched: `edge` is Qdrant inside this process, `qdrant` a server or cluster."""

    qdrant_url: str = ""
    """Address of the Qdrant server."""

    qdrant_key: Secret | None = None
    """Key for the Qdrant server."""

    graph_store: Literal["sqlite", "neo4j"] = "sqlite"
    """Where the graph is: tables in a file of its own, or a Neo4j server."""

    neo4j_uri: str = ""
    """Address of the Neo4j server, `neo4j://127.0.0.1:7687` for instance."""

    neo4j_user: str = "neo4j"
    """User at the Neo4j server."""

    neo4j_password: Secret | None = None
    """Password at the Neo4j server."""

    model: str = ""
    """The language model that extracts facts. Empty means that rules do it, without any model."""

    model_url: str = ""
    """Base address of an endpoint that speaks OpenAI's chat completions."""

    model_key: Secret | None = None
    """Key for that endpoint."""

    model_timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 60.0
    """Longest wait for one answer of the model, in seconds."""

    job_attempts: Annotated[int, Meta(ge=1, le=100)] = 8
    """How often a piece of work is tried before it becomes a dead letter, which can be replayed."""

    job_backoff_s: Annotated[float, Meta(ge=0.01, le=3_600)] = 1.0
    """Pause after the first failed try, in seconds; it doubles each time, up to an hour, with jitter."""

    job_lease_s: Annotated[float, Meta(ge=1, le=86_400)] = 120.0
    """How long a piece of work is held by whoever took it, in seconds; then somebody else takes it."""

    memory_body_limit_bytes: Annotated[int, Meta(ge=65_536, le=1_073_741_824)] = 33_554_432
    """Largest request body from the kernel, in bytes: a batch of events."""

    echo_days: Annotated[float, Meta(ge=0, le=3_650)] = 30.0
    """How long the service remembers what recall handed out to whom, in days, so that it is not learned again."""

    shutdown_grace_s: Annotated[float, Meta(ge=0.5, le=600)] = 5.0
    """Time from SIGTERM to the end of the process, in seconds."""

    otel_endpoint: str = ""
    """Address of an OpenTelemetry collector; see the kernel's setting of the same name."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe entries that are written."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """Form of the log."""

    def __post_init__(self) -> None:
        """Refuse combinations that are each allowed, but not together."""
        if self.model and not self.model_url:
            raise ValueError("MEMROOS_MODEL_URL: a model needs the address of its endpoint")
        if self.embedder in ("openai", "ollama") and not self.embedder_url:
            raise ValueError(f"MEMROOS_EMBEDDER_URL: the embedder {self.embedder!r} needs the address of its endpoint")
        if self.vector_store == "qdrant" and not self.qdrant_url:
            raise ValueError("MEMROOS_QDRANT_URL: the vector store 'qdrant' needs the address of its server")
        if self.graph_store == "neo4j" and not self.neo4j_uri:
            raise ValueError("MEMROOS_NEO4J_URI: the graph store 'neo4j' needs the address of its server")

    @property
    def folder(self) -> Path:
        """Where the service keeps what is its own."""
        return self.data_dir / FOLDER

    @property
    def database(self) -> Path:
        """The truth."""
        return self.folder / DATABASE

    @property
    def memory_key_path(self) -> Path:
        """The file with the kernel's key, or where it will be."""
        return self.memory_key_file or self.data_dir / KEY_FILE
