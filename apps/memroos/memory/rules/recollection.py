"""Who is reminded of what at the start of a task, and whether it helped."""

import re
from collections.abc import Iterable, Sequence

from memroos.memory.rules.answers import labels_of
from memroos_contracts import labels
from memroos_contracts.governance import Label
from memroos_contracts.memory import RecallItem
from memroos_contracts.recollection import RecollectionPolicyView, RecollectionRule
from memroos_kit.text import words

USED_SHARE = 0.3
"""How much of what a memory added has to come back, for the memory to count as used."""

USED_WORDS = 2

_STATED = re.compile("[.!]\\s|[\n\u3002\uff01]")
_ASKED = ("?", "\uff1f")


def most_particular(policies: Iterable[RecollectionPolicyView]) -> RecollectionPolicyView | None:
    """Return which of the policies that hold counts: an agent's before everybody's, then a purpose's before any."""
    return max(policies, key=lambda one: (one.agent_id != "", one.purpose != ""), default=None)


def why_abstain(rule: RecollectionRule, text: str) -> str:
    """Return why nobody is reminded of anything by this message; empty where somebody is."""
    if not rule.enabled:
        return "the policy is not enabled"
    if len(text.split()) < rule.min_words:
        return f"the message has fewer than {rule.min_words} words"
    return ""


def admit(rule: RecollectionRule, hits: Iterable[RecallItem], *, task_id: str, asked: str) -> list[RecallItem]:
    """Return the hits that may enter: good enough, labelled low enough, not of the task itself, and worth a reminder.

    Args:
        asked: what the task's message says.
    """
    return [
        hit
        for hit in hits
        if hit.score >= rule.min_score
        and not (task_id and hit.item.task_id == task_id)
        and all(may_enter(rule, label) for label in labels_of([hit]))
        and (hit.facts or tells_more(hit.item.text or "", asked))
    ]


def may_enter(rule: RecollectionRule, label: Label) -> bool:
    """Answer whether content with this label may enter."""
    low_enough = labels.RANK[label.sensitivity] <= labels.RANK[rule.sensitivity_max]
    return low_enough and label.tags.isdisjoint(rule.forbidden_tags)


def tells_more(memory: str, asked: str) -> bool:
    """Answer whether a memory is more than what is asked now, or was asked before: a question answers none."""
    memory = memory.strip()
    only_asks = memory.endswith(_ASKED) and not _STATED.search(memory)
    return not only_asks and not set(words.words_of(memory)) <= set(words.words_of(asked))


def why_nothing(rule: RecollectionRule, found: int, admitted: int) -> str:
    """Return why nobody is reminded of anything, of so many hits of which so many may enter."""
    if admitted:
        return f"what bears on the task does not fit into {budget(rule)} tokens"
    return "nothing that bears on the task may enter or tells more than it" if found else "nothing bears on the task"


def budget(rule: RecollectionRule) -> int:
    """Return how many tokens memory may take."""
    return int(rule.token_budget * rule.share)


def was_used(memory: str, question: str, said: Sequence[str]) -> bool:
    """Answer whether words that a memory added, beyond those of the question, came back in what was said."""
    added = set(words.words_to_find(memory)) - set(words.words_of(question))
    if not added:
        return False
    spoken = {word for text in said for word in words.words_of(text)}
    return len(added & spoken) >= min(len(added), max(USED_WORDS, USED_SHARE * len(added)))
