"""What the newcomer sees."""

import io

from memroos.demo import stage
from memroos.demo.stage import EXPECTED, Stage


def test_all_was_seen_only_when_everything_was() -> None:
    out = io.StringIO()
    here = Stage(out)
    for what in EXPECTED:
        here.saw(what)

    assert here.conclude()
    assert "All of it was seen." in out.getvalue()


def test_what_is_missing_is_named() -> None:
    out = io.StringIO()
    here = Stage(out)
    for what in EXPECTED[:-1]:
        here.saw(what)
    here.saw(stage.WHOLE_LEDGER, False)

    assert not here.conclude()
    assert out.getvalue() == f"\nNot seen:\n   - {EXPECTED[-1]}\n   - {stage.WHOLE_LEDGER}\n"


def test_an_agents_words_cannot_steer_the_terminal() -> None:
    out = io.StringIO()
    Stage(out).quote("a \x1b[2Jline\r\nand \x9bmore")

    assert out.getvalue() == "   | a  [2Jline\n   | and  more\n"
