import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos.cli.output import Column, Progress, paint, printable, render, size, span, when

NAME: Column[str] = Column("name", str)
NOTE: Column[str] = Column("note", str, shrinks=True)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = render([NAME, NOTE], [["a", "short"], ["longer", "b"]], None)

    assert lines[1:] == ["a       short", "longer  b"]
    assert "NAME    NOTE" in lines[0]


def test_a_narrow_terminal_cuts_only_what_may_shrink() -> None:
    lines = render([NAME, NOTE], [["x" * 20, "y" * 40]], 40)

    assert lines[1] == "x" * 20 + "  " + "y" * 17 + "…"


def test_nothing_is_cut_to_less_than_can_be_read() -> None:
    (_, line) = render([NAME, NOTE], [["x" * 50, "y" * 40]], 20)

    assert line == "x" * 50 + "  " + "y" * 11 + "…"


@given(
    st.lists(st.lists(st.text(st.characters(categories=["L", "N"]), max_size=30), min_size=2, max_size=2), min_size=1)
)
def test_every_row_is_one_line_and_fits_where_it_can(rows: list[list[str]]) -> None:
    lines = render([NAME, NOTE], rows, 60)

    assert len(lines) == len(rows) + 1
    assert all(len(line) <= 60 for line in lines[1:])


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("two\nlines", "two\\nlines"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\u202eb", "a\\u202eb"),
        ("Zoë, 漢字", "Zoë, 漢字"),
    ],
)
def test_text_is_shown_and_not_obeyed(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


def test_states_have_colours() -> None:
    assert paint("active") == "\x1b[32mactive\x1b[0m"
    assert paint("anything else") == "anything else"


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**3, "5.0 GiB"), (2**50, "1024.0 TiB")],
)
def test_sizes(bytes_: int, shown: str) -> None:
    assert size(bytes_) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0 s"), (61, "1 min 1 s"), (86_400, "1 d"), (90_061, "1 d 1 h")])
def test_spans(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_no_instant_is_no_text() -> None:
    assert when(None) == ""


def test_progress_elsewhere_than_on_a_terminal_names_each_step_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    for done in range(5):
        progress("copying", done, 5)
    progress("checking", 0, 0)
    progress.end()

    assert capsys.readouterr().err == "copying ...\nchecking ...\n"
