"""Write the generated pages of docs/reference: run it after changing settings, errors, commands, routes or access.

`python scripts/reference.py` writes them; tests/docs/test_reference.py fails when one is out of date.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from memroos import cli, settings, wiring
from memroos.cli import reference as cli_reference
from memroos.cli.settings import ClientSettings
from memroos.web import access
from memroos.web.rest import openapi
from memroos_contracts.identity import Role
from memroos_kit import problems
from memroos_kit.settings import render_reference
from memroos_memory.settings import MemorySettings

ROOT = Path(__file__).resolve().parent.parent / "docs" / "reference"


def settings_page() -> str:
    """Return the page of all settings."""
    kernel = render_reference(settings.Settings, title="Settings")
    memory = _fields(MemorySettings, but=settings.Settings)
    return f"{kernel}\nThe memory service's own:\n{memory}\nThe command line's own:\n{_fields(ClientSettings)}"


def _fields(of: type[msgspec.Struct], but: type[msgspec.Struct] | None = None) -> str:
    """Return the sections of a process's settings, without those that it shares with another."""
    _, *sections = render_reference(of, title="Settings").split("\n## ")
    shared = set() if but is None else {f"`MEMROOS_{name.upper()}`" for name in but.__struct_fields__}
    own = [section for section in sections if section.partition("\n")[0] not in shared]
    return "".join(f"\n## {section}" for section in own)


def problems_page() -> str:
    """Return the page of all problems."""
    return problems.render_reference(problems.every_error())


def access_page() -> str:
    """Return the page of who may use which route."""
    roles = list(Role)
    lines = [
        "# Access",
        "",
        "Which role comes in through which route, and which objects it finds there: `own` means what it owns or is",
        "addressed to, `workspace` everything in its workspace, nothing means 403. Without a key only public routes",
        "answer. An object outside of its reach does not exist for a caller (404). What a role may do with what it",
        "finds is decided by [policy](policies.md).",
        "",
        f"| operation | route | {' | '.join(roles)} |",
        f"|---|---|{'---|' * len(roles)}",
    ]
    for row in access.ROWS:
        reach = ["public" if row.public else row.roles.get(role, "") for role in roles]
        lines.append(f"| `{row.operation}` | `{row.method} {row.path}` | {' | '.join(reach)} |")
    return "\n".join(lines) + "\n"


def openapi_page() -> str:
    """Return the OpenAPI document, formatted."""
    with tempfile.TemporaryDirectory() as folder:
        kernel = wiring.Kernel(settings.Settings(data_dir=Path(folder)))
        try:
            document = openapi.describe(kernel.app)
        finally:
            kernel.close()
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2).decode() + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "problems.md": problems_page,
    "access.md": access_page,
    "cli.md": cli_reference.render_reference,
    "openapi.json": openapi_page,
}
"""Every generated page, and what writes it."""


def main() -> int:
    """Write all pages."""
    assert cli.main  # the commands are registered by importing the package
    for name, render in PAGES.items():
        (ROOT / name).write_text(render(), encoding="utf-8")
        print(f"docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
