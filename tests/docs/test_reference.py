"""The generated pages are what the code says now."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("reference_script", ROOT / "scripts" / "reference.py")
assert SPEC is not None
assert SPEC.loader is not None
REFERENCE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(REFERENCE)


@pytest.mark.parametrize("page", sorted(REFERENCE.PAGES))
def test_a_generated_page_is_up_to_date(page: str) -> None:
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")

    assert written == REFERENCE.PAGES[page](), f"docs/reference/{page} is old: run python scripts/reference.py"
