"""Recall by the memory service, the vector given: a thousand items, a hundred scopes of that, one of 100,000."""

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from tests.bench.benches.plan import Plan
from tests.bench.processes import cpu_s, rss_bytes
from tests.bench.report import Ratio, Result
from tests.flows.memory import SERVICE_KEY, Memory, viewer

from memroos_contracts.identity import WorkspaceId
from memroos_contracts.memory import IngestEvent, MemoryEventView, MemoryKind, RecallQuery, RecallRequest
from memroos_memory.embedders.hashing import HashEncoder

EACH = 1_000
SCOPES = 100
WORDS = 20
TURNS = 20
"""Turns of one stream."""
BATCH = 200
QUESTIONS = 300
WARM_UP = 30
PATIENCE_S = 1_800.0
START = datetime(2026, 1, 1, tzinfo=UTC)
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
_DIMENSION = 384


def bench(plan: Plan) -> Result:
    """Measure recall over the three, and what taking the items over costs."""
    result = Result(
        name="recall",
        title="recall over HTTP, one caller, question embedded before; items of 20 words",
        columns=["items", "taken over per s", "p50 ms", "p95 ms", "service's memory MB", "disk MB", "bytes an item"],
    )
    found: dict[str, tuple[float, float]] = {}
    for name, scopes, each in (
        (f"1 scope of {EACH:,}", 1, EACH),
        (f"{SCOPES} scopes of {EACH:,}", SCOPES, EACH),
        (f"1 scope of {SCOPES * EACH:,}", 1, SCOPES * EACH),
    ):
        found[name] = _measure(plan, result, name, scopes, each)
    few, many, large = found.values()
    result.ratios = [
        Ratio(name="p95 ms, 100 scopes of 1,000", value=many[1], at_most=25, aim=10),
        Ratio(name="p95 ms, one scope of 100,000", value=large[1], at_most=60, aim=30),
        Ratio(name="p50, 100 scopes of 1,000 to 1,000 in all", value=many[0] / few[0]),
        Ratio(name="p95, 100 scopes of 1,000 to 1,000 in all", value=many[1] / few[1]),
        Ratio(name="p50, one scope of 100,000 to 1,000 in all", value=large[0] / few[0]),
        Ratio(name="p95, one scope of 100,000 to 1,000 in all", value=large[1] / few[1]),
    ]
    result.notes.append(
        "taken over: stored, indexed by words, embedded by the hash embedder, facts and entities by rules"
    )
    return result


def _measure(plan: Plan, result: Result, name: str, scopes: int, each: int) -> tuple[float, float]:
    folder = plan.folder / f"{scopes}-{each}"
    dice = random.Random(f"{scopes}/{each}")
    vocabulary = ["".join(dice.choice(_SYLLABLES) for _ in range(dice.randint(2, 4))) for _ in range(8_000)]
    with (
        Memory(folder, settings={"log_level": "warning"}) as memory,
        httpx.Client(
            base_url=memory.url, headers={"Authorization": f"Bearer {SERVICE_KEY}"}, timeout=120, trust_env=False
        ) as http,
    ):
        began = time.perf_counter()
        texts = _take_over(http, dice, vocabulary, scopes, each)
        _wait_idle(http)
        rate = scopes * each / (time.perf_counter() - began)
        busy = cpu_s(memory.pid)
        latencies = list(_ask(http, dice, texts, result))
        result.details[name] = {
            "cpu_ms_each": 1000 * (cpu_s(memory.pid) - busy) / (QUESTIONS + WARM_UP),
            "p99_ms": _share(latencies, 0.99),
            "worst_ms": max(latencies),
        }
        p50, p95 = statistics.median(latencies), _share(latencies, 0.95)
        disk = sum(file.stat().st_size for file in (folder / "data" / "memory").rglob("*") if file.is_file())
        result.rows.append([
            name, round(rate), round(p50, 2), round(p95, 2), round(rss_bytes(memory.pid) / 1e6), round(disk / 1e6, 1),
            round(disk / (scopes * each)),
        ])  # fmt: skip
    return p50, p95


def _take_over(
    http: httpx.Client, dice: random.Random, vocabulary: Sequence[str], scopes: int, each: int
) -> list[tuple[str, str]]:
    """Bring all items to the service; return a part of them, each with whose it is."""
    texts: list[tuple[str, str]] = []
    batch: list[IngestEvent] = []
    for number in range(scopes * each):
        owner = f"agent:bench-{number % scopes}"
        at = number // scopes
        text = " ".join(vocabulary[min(int(dice.paretovariate(0.6)), len(vocabulary)) - 1] for _ in range(WORDS))
        event = MemoryEventView(
            id=f"mem_{number:09}",
            workspace_id=WorkspaceId("default"),
            stream=f"{owner}/{at // TURNS}",
            stream_seq=at % TURNS + 1,
            kind=MemoryKind.MEMORY,
            author=owner,
            text=f"{text[:1].upper()}{text[1:]}.",
            digest=f"sha256:{number:064x}",
            created_at=START + timedelta(seconds=number),
        )
        batch.append(IngestEvent(event, (owner,), private=False, position=number + 1))
        if dice.random() < 2_000 / (scopes * each):
            texts.append((owner, text))
        if len(batch) == BATCH or number == scopes * each - 1:
            _send(http, "/v1/events", {"events": batch})
            batch = []
    return texts


def _wait_idle(http: httpx.Client) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        said = _send(http, "/v1/jobs/wait", {"viewer": viewer(), "request": {"wait_s": 30}})
        if said["idle"]:
            assert said["jobs"]["dead"] == 0, f"work could not be done: {said}"
            return
    raise AssertionError("the service is still at work")


def _ask(http: httpx.Client, dice: random.Random, texts: Sequence[tuple[str, str]], result: Result) -> Iterator[float]:
    """Ask for items by some of their words; yield how many milliseconds each answer took."""
    encoder = HashEncoder(_DIMENSION)
    wrong = 0
    for number in range(WARM_UP + QUESTIONS):
        owner, text = dice.choice(texts)
        question = " ".join(dice.sample(text.split(), 6))
        (vector,) = encoder.encode([question])
        vector /= max(float((vector @ vector) ** 0.5), 1e-9)
        query = RecallQuery(
            WorkspaceId("default"), owner, RecallRequest(query=question), vector=tuple(map(float, vector))
        )
        body = msgspec.json.encode(query)
        began = time.perf_counter()
        answer = http.post("/v1/recall", content=body, headers={"content-type": "application/json"})
        took = 1000 * (time.perf_counter() - began)
        wrong += not answer.is_success or not answer.json()["items"]
        if number >= WARM_UP:
            yield took
    if wrong:
        result.errors.append(f"{wrong} questions without an answer")


def _send(http: httpx.Client, path: str, body: Any) -> Any:
    answer = http.post(path, content=msgspec.json.encode(body), headers={"content-type": "application/json"})
    assert answer.is_success, f"{path}: {answer.status_code} {answer.text[:500]}"
    return answer.json()


def _share(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
