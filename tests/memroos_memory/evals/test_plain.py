"""What recall is compared with, on a conversation of four turns."""

from pathlib import Path

from memroos_memory.embedders import create_embedder
from memroos_memory.evals.plain import PlainBm25, PlainMem0
from memroos_memory.evals.questions import Turn
from memroos_memory.settings import MemorySettings

TURNS = [
    Turn("1", "Ann", "The harbour was full of boats."),
    Turn("2", "Bo", "I bought a red bicycle."),
    Turn("3", "Ann", "A bicycle! Is it new?"),
    Turn("4", "Bo", "It rained."),
]


def test_bm25_finds_turns_by_their_words_and_nothing_without_any() -> None:
    plain = PlainBm25(TURNS)

    assert plain.rank("Who has a red bicycle?", 10) == ("2", "3")
    assert plain.rank("Who has a red bicycle?", 1) == ("2",)
    assert plain.rank("Ann?", 10) == ("3", "1")
    assert plain.rank("umbrellas", 10) == ()


def test_mem0_ranks_every_turn_by_its_vector(tmp_path: Path) -> None:
    embedder = create_embedder(MemorySettings(embedder="hash"))
    try:
        with PlainMem0(TURNS, embedder, tmp_path / "plain") as plain:
            ranked = plain.rank("Bo: I bought a red bicycle.", 10)
    finally:
        embedder.close()

    assert ranked[0] == "2"
    assert set(ranked) <= {"1", "2", "3", "4"}
    assert len(ranked) == len(set(ranked))
