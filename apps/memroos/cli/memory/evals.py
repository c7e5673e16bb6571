"""`memroos memory evals`: what recall was worth, run after run."""

from collections.abc import Sequence

import click

from memroos.cli.options import Kernel, limit_option, page, remote
from memroos.cli.output import Column, when
from memroos_client.calls import memory as calls
from memroos_contracts.recall_evals import CategoryScore, NewRecallEval, RecallEvalView

_ORDER = ("multi-hop", "temporal", "open-domain", "single-hop", "adversarial")


class Row:
    """An evaluation beside the one before it of the same configuration and file.

    Args:
        result: the evaluation.
        before: None where it is the first.
    """

    def __init__(self, result: NewRecallEval, before: NewRecallEval | None = None, view: RecallEvalView | None = None):
        self.result = result
        self.before = before
        self.view = view

    def at(self, most: int, category: str = "") -> str:
        """Return recall in percent, and by how much it changed."""
        now, then = (_share(one, most, category) for one in (self.result, self.before))
        if now is None:
            return ""
        return f"{now * 100:.1f}{f' ({(now - then) * 100:+.1f})' if then is not None else ''}"


def columns(results: Sequence[NewRecallEval]) -> list[Column[Row]]:
    """Return the columns for some evaluations: overall, and each category that is in them."""
    found = {category for result in results for category in result.categories}
    categories = [category for category in _ORDER if category in found] + sorted(found - set(_ORDER))
    return [
        Column("configuration", lambda row: row.result.configuration),
        Column("questions", lambda row: str(row.result.overall.questions)),
        Column("@5", lambda row: row.at(5)),
        Column("@10", lambda row: row.at(10)),
        *(_category(category) for category in categories),
        Column("p50 ms", lambda row: f"{row.result.query_p50_ms:.1f}"),
        Column("p95 ms", lambda row: f"{row.result.query_p95_ms:.1f}"),
        Column("turns/s", lambda row: f"{row.result.ingest_per_s:.0f}" if row.result.ingest_per_s else ""),
    ]


def _category(name: str) -> Column[Row]:
    return Column(f"{name}@10", lambda row: row.at(10, name))


def _share(result: NewRecallEval | None, most: int, category: str) -> float | None:
    if result is None:
        return None
    score: CategoryScore | None = result.categories.get(category) if category else result.overall
    if score is None:
        return None
    return score.recall_at_5 if most == 5 else score.recall_at_10


@click.command("evals")
@click.option("--file", default="", metavar="NAME", help="Only evaluations with this question file.")
@click.option("--configuration", default="", help="Only evaluations of this configuration.")
@limit_option
@remote
def evals_command(kernel: Kernel, file: str, configuration: str, most: int) -> None:
    """Compare evaluations over time, the newest first. In brackets: what changed since the one before."""
    views = [
        view
        for view in kernel.pages(calls.evals(limit=page(most)))
        if file in ("", view.result.file) and configuration in ("", view.result.configuration)
    ]
    if kernel.out.as_json:
        kernel.out.table(views[:most], [], empty="")
        return
    rows = compared(views)[:most]
    shown = [
        Column[Row]("at", lambda row: when(row.view.at) if row.view else ""),
        Column[Row]("file", lambda row: row.result.file, shrinks=True),
        *columns([row.result for row in rows]),
        Column[Row]("embedder", lambda row: row.view.embedder if row.view else "", shrinks=True),
        Column[Row]("version", lambda row: row.view.version if row.view else ""),
    ]
    kernel.out.table(rows, shown, empty="Recall was never measured: `memroos memory eval FILE` does.")


def compared(views: Sequence[RecallEvalView]) -> list[Row]:
    """Return evaluations, the newest first, each beside the one before it of the same configuration and file."""
    rows = []
    before: dict[tuple[str, str], NewRecallEval] = {}
    for view in reversed(views):
        same = (view.result.configuration, view.result.file_digest)
        rows.append(Row(view.result, before.get(same), view))
        before[same] = view.result
    return rows[::-1]
