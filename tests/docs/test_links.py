"""The documentation holds together: links lead somewhere, every page can be reached, decisions have their form."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / ".planning").glob("*.md")])
DECISIONS = sorted((DOCS / "explanation" / "decisions").glob("[0-9]*.md"))
STATUS = re.compile(
    r"(?:Proposed|Accepted|Superseded by \[\d{4}\]\(\d{4}-[\w-]+\.md\)) on \d{4}-\d{2}-\d{2}\.", re.MULTILINE
)


def prose(text: str) -> str:
    """Return a page without its code, in which nothing is a link or a heading."""
    without_blocks = re.sub(r"^( *)(```|~~~).*?^\1\2[^\n]*$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda code: "`" + re.sub(r"[\[\]]", "", code.group()[1:-1]) + "`", without_blocks)


def links(text: str) -> Iterator[str]:
    """Yield where a page's links lead, reference definitions included."""
    yield from re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)", prose(text))
    yield from re.findall(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)", prose(text), flags=re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the names under which a page's headings can be linked."""
    found: set[str] = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", prose(text), flags=re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        same = sum(1 for other in found if re.fullmatch(rf"{re.escape(name)}(-\d+)?", other))
        found.add(f"{name}-{same}" if name in found else name)
    return found


def is_relative(link: str) -> bool:
    """Tell whether a link stays inside the repository."""
    return not re.match(r"[a-z][a-z0-9+.-]*:|//", link, flags=re.IGNORECASE)


def broken(page: Path, text: str) -> Iterator[str]:
    """Yield the relative links of a page that lead nowhere."""
    for link in filter(is_relative, links(text)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target == page:
            found = not anchor or anchor in anchors(text)
        elif target.is_file():
            found = target.is_relative_to(ROOT) and (not anchor or anchor in anchors(target.read_text("utf-8")))
        else:
            found = target.is_relative_to(ROOT) and target.is_dir() and not anchor
        if not found:
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    assert list(broken(page, page.read_text(encoding="utf-8"))) == []


def test_every_page_can_be_reached_from_the_map() -> None:
    reached: set[Path] = set()
    waiting = [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = {(page.parent / link.split("#")[0]).resolve() for link in links(page.read_text(encoding="utf-8"))}
        waiting += [target for target in targets if target in PAGES and target not in {*reached, *waiting}]

    assert [str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md") if page not in reached] == []


@pytest.mark.parametrize("record", DECISIONS, ids=lambda record: record.stem)
def test_a_decision_record_has_its_form(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    number = record.name[:4]

    assert re.match(rf"# {number}\. \S", text)
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == ["Status", "Context", "Decision", "Consequences"]
    assert all(part.strip() for part in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:])
    assert STATUS.match(text.split("## Status")[1].strip())


def test_decisions_are_numbered_without_gaps_and_all_listed() -> None:
    index = (DOCS / "explanation" / "decisions" / "README.md").read_text(encoding="utf-8")

    assert [record.name[:4] for record in DECISIONS] == [f"{n:04}" for n in range(1, len(DECISIONS) + 1)]
    assert [record.name for record in DECISIONS] == re.findall(r"\((\d{4}-[\w-]+\.md)\)", index)


PAGE_TEXT = """# One page

## A `code` word, and more

## Twice

## Twice

```sh
# not a heading, and [not](a-link.md)
```
"""


@pytest.mark.parametrize(
    ("link", "leads_nowhere"),
    [
        ("[a](README.md)", False),
        ("[a](README.md#documentation)", False),
        ("[a](nowhere.md)", True),
        ("[a](README.md#nowhere)", True),
        ("[a](#a-code-word-and-more)", False),
        ("[a](#twice-1)", False),
        ("[a](#twice-2)", True),
        ("[a](#not-a-heading-and-nota-linkmd)", True),
        ("[a](../../outside)", True),
        ("[a](https://example.org/x)", False),
        ("`[a](nowhere.md)`", False),
        ("[a]: nowhere.md", True),
    ],
)
def test_a_link_that_leads_nowhere_is_noticed(link: str, leads_nowhere: bool) -> None:
    assert bool(list(broken(DOCS / "page.md", f"{PAGE_TEXT}\n{link}\n"))) is leads_nowhere
