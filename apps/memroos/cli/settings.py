"""The settings of the command line, beside those of the processes that it shares the environment with."""

from pathlib import Path

import msgspec

from memroos import supervisor
from memroos.cli.failures import WrongUsage
from memroos.settings import Settings
from memroos_kit.settings import Secret, SettingsError, load
from memroos_memory.settings import MemorySettings


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which kernel the commands talk to, and as whom."""

    url: str = ""
    """Address of the kernel. Empty means the one on this machine, where its own settings say."""

    api_key: Secret | None = None
    """Key to come with. Without one, the operator's key of this machine's kernel is used."""


def kernel_settings(data_dir: Path | None = None) -> Settings:
    """Return the kernel's settings; where they do not say where the memory service is, its own do.

    Args:
        data_dir: another data directory than the settings name.

    Raises:
        WrongUsage: a setting is wrong.
    """
    try:
        settings = load(Settings, others=(ClientSettings, MemorySettings))
    except SettingsError as error:
        raise _failure(error) from error
    if settings.memory_url == Settings().memory_url:
        memory = memory_settings()
        beside = supervisor.memory_url(memory) if memory.memory_port else settings.memory_url
        settings = msgspec.structs.replace(settings, memory_url=beside)
    return settings if data_dir is None else msgspec.structs.replace(settings, data_dir=data_dir)


def memory_settings(data_dir: Path | None = None) -> MemorySettings:
    """Return the memory service's settings.

    Args:
        data_dir: another data directory than the settings name.

    Raises:
        WrongUsage: a setting is wrong.
    """
    try:
        settings = load(MemorySettings, others=(ClientSettings, Settings))
    except SettingsError as error:
        raise _failure(error) from error
    return settings if data_dir is None else msgspec.structs.replace(settings, data_dir=data_dir)


def client_settings() -> ClientSettings:
    """Return the command line's own settings.

    Raises:
        WrongUsage: a setting is wrong.
    """
    try:
        return load(ClientSettings, others=(Settings, MemorySettings))
    except SettingsError as error:
        raise _failure(error) from error


def _failure(error: SettingsError) -> WrongUsage:
    return WrongUsage("; ".join(error.problems), "docs/reference/settings.md lists every setting.")
