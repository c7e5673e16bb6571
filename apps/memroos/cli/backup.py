"""`memroos backup` and `memroos restore`: on files, without the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from memroos import __version__, audit
from memroos.cli.failures import Failure
from memroos.cli.options import data_dir_option, json_option
from memroos.cli.output import Output, Progress, size, when
from memroos.cli.settings import kernel_settings, memory_settings
from memroos.settings import SECRETS_KEY_FILE
from memroos.supervisor import DATABASE, KERNEL_LOCK, MEMORY_LOCK
from memroos_kit import backup as files
from memroos_kit import keyset, lock
from memroos_memory.settings import KEY_FILE as MEMORY_KEY_FILE


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@data_dir_option
@json_option
def backup(archive: Path, data_dir: Path | None, as_json: bool) -> None:
    """Back the data up into the new directory ARCHIVE.

    The system may run meanwhile. The backup holds the kernel's database and the memory service's, the keys that the
    ledger's heads, cards and webhooks are signed with, the one that the two processes share, and the key that
    credentials of remote agents and webhooks are encrypted with, unless that lies elsewhere: keep it as you keep keys.
    The operator's key is not in it. Indexes are not, either: they are made anew.
    """
    settings, memory = kernel_settings(data_dir), memory_settings(data_dir)
    source = settings.data_dir
    progress = Progress()
    try:
        manifest = files.back_up(
            source / DATABASE,
            archive,
            others=[memory.database],
            secret_files=[
                source / audit.KEY_FILE,
                source / keyset.FILE,
                source / SECRETS_KEY_FILE,
                source / MEMORY_KEY_FILE,
            ],
            files=[source / audit.PUBLIC_KEY_FILE],
            facts={"memroos": __version__},
            progress=progress,
        )
    except files.BackupFailed as error:
        raise Failure(str(error)) from error
    finally:
        progress.end()
    out = Output(as_json=as_json)
    out.facts(manifest, _facts(archive, manifest))
    secret = ", ".join(file.name for file in manifest.files if file.secret)
    out.say(f"\nIt holds secrets ({secret}): keep it as you keep keys.")
    if settings.secrets_key_path.resolve() != (source / SECRETS_KEY_FILE).resolve():
        out.say(f"What opens the credentials of remote agents and webhooks is not in it: {settings.secrets_key_path}.")


@click.command()
@click.argument("archive", type=click.Path(path_type=Path, exists=True, file_okay=False))
@data_dir_option
@click.option("--force", is_flag=True, help="Move data that is there aside, instead of refusing.")
@json_option
def restore(archive: Path, data_dir: Path | None, force: bool, as_json: bool) -> None:
    """Put the backup ARCHIVE into the data directory, after checking all of it. Nothing may run there."""
    target = kernel_settings(data_dir).data_dir
    progress = Progress()
    try:
        restored = files.restore(archive, target, lock=_alone(target), force=force, progress=progress)
    except lock.AlreadyRunning as error:
        raise Failure(f"{error}.", "Stop it first: `memroos down`.") from error
    except files.RestoreRefused as error:
        raise Failure(str(error), "" if force else "`--force` moves it aside; nothing is deleted.") from error
    except files.BackupDamaged as error:
        raise Failure(str(error), "Nothing was changed. Use another backup.") from error
    finally:
        progress.end()
    out = Output(as_json=as_json)
    aside = str(restored.set_aside) if restored.set_aside else ""
    out.facts(restored, [*_facts(archive, restored.manifest), ("restored to", str(target)), ("moved aside", aside)])
    out.say("\nCheck the ledger with `memroos audit verify`, then start with `memroos up`.")


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep the processes of a data directory from starting."""
    with lock.hold(target / KERNEL_LOCK, process="restore"), lock.hold(target / MEMORY_LOCK, process="restore"):
        yield


def _facts(archive: Path, manifest: files.Manifest) -> list[tuple[str, str]]:
    return [
        ("backup", str(archive)),
        ("made", when(manifest.made_at)),
        ("version", manifest.facts.get("memroos", "")),
        ("files", "\n".join(f"{file.name} ({size(file.size_bytes)})" for file in manifest.files)),
        ("checked", "ok"),
    ]
