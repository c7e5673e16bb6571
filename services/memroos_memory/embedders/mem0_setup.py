"""The one way to mem0: its telemetry off and its directory inside ours, before any of it is imported.

Left alone, mem0 starts a telemetry thread when it is imported, asks the internet for notices, and makes a directory in
the user's home. It reads its switches at import only, and has them for the life of the process.
"""

import importlib
import sys
import threading
from pathlib import Path
from typing import Any

from memroos_kit import environment
from memroos_kit.settings import Secret

_lock = threading.Lock()
_folder: list[Path] = []


def prepare(folder: Path) -> None:
    """Import mem0 with its switches set; may be repeated, and the first folder counts.

    Args:
        folder: the memory service's own; mem0 keeps its file in `mem0` below it.
    """
    with _lock:
        if _folder:
            return
        if "mem0" in sys.modules:
            raise RuntimeError("mem0 was imported before its telemetry could be switched off.")
        own = (folder / "mem0").absolute()
        own.mkdir(parents=True, exist_ok=True)
        environment.preset(MEM0_TELEMETRY="False", MEM0_DIR=str(own), ANONYMIZED_TELEMETRY="False")
        importlib.import_module("mem0")
        _folder.append(own)


def part(name: str) -> Any:
    """Return a module of mem0, `mem0.utils.factory` for instance; after `prepare` only."""
    if not _folder:
        raise RuntimeError("mem0 is used before it was prepared.")
    if name.split(".", maxsplit=1)[0] != "mem0":
        raise ValueError(f"{name} is no part of mem0.")
    return importlib.import_module(name)


def key_of(secret: Secret | None) -> str:
    """Return an endpoint's key; where there is none, something in its place, or mem0 looks for one elsewhere."""
    return secret.reveal() if secret else "none"


def reason_of(error: BaseException) -> str:
    """Return why mem0 or what it calls failed: the error's type and, where it has one, its status.

    Not its own words: they may repeat what was sent, and the reason is read by people who may not read that.
    """
    status = getattr(error, "status_code", None)
    return f"{type(error).__name__}{f' ({status})' if isinstance(status, int) else ''}"
