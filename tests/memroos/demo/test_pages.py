"""What the demo asks when nobody said what."""

from pathlib import Path

import pytest

from memroos.demo import pages
from memroos.demo.errors import Stopped


def test_the_documentation_has_the_example_agents() -> None:
    assert (pages.documentation() / "examples" / "publisher.py").is_file()


def test_a_folder_is_asked_about_its_readme_first(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Apples\n", "utf-8")
    (tmp_path / "README.md").write_text("No title here.\n\n# Orchard rules\n", "utf-8")

    assert pages.question_about(tmp_path) == "What do these pages say about Orchard rules?"


def test_without_a_readme_the_first_title_counts(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.md").write_text("# Pears\n", "utf-8")

    assert pages.question_about(tmp_path) == "What do these pages say about Pears?"


def test_a_folder_without_a_title_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# Not Markdown\n", "utf-8")

    with pytest.raises(Stopped, match="no Markdown file with a title"):
        pages.question_about(tmp_path)


def test_the_second_question_is_one_that_the_first_answer_answers() -> None:
    assert pages.related_to(pages.QUESTION) == pages.RELATED
    assert pages.related_to("Who plants orchards?").endswith("Who plants orchards?")
