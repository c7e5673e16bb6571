"""Who is reminded of what at the start of a task, and whether it helped."""

from collections.abc import Iterable, Sequence

from memroos.memory.rules.answers import labels_of
from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.memory import RecallItem
from memroos_contracts.recollection import RecollectionPolicyView, RecollectionRule
from memroos_kit.text import words

USED_SHARE = 0.3
"""How much of what a memory added has to come back, for the memory to count as used."""

USED_WORDS = 2

_RANK = {sensitivity: rank for rank, sensitivity in enumerate(Sensitivity)}


def find_policy(
    policies: Iterable[RecollectionPolicyView], agent_id: str, purpose: str
) -> RecollectionPolicyView | None:
    """Return the most particular policy that holds: an agent's before everybody's, then a purpose's before any."""
    fitting = [one for one in policies if one.agent_id in ("", agent_id) and one.purpose in ("", purpose)]
    return max(fitting, key=lambda one: (one.agent_id != "", one.purpose != ""), default=None)


def why_abstain(rule: RecollectionRule, text: str) -> str:
    """Return why nobody is reminded of anything by this message; empty where somebody is."""
    if not rule.enabled:
        return "the policy is not enabled"
    if len(text.split()) < rule.min_words:
        return f"the message has fewer than {rule.min_words} words"
    return ""


def admit(rule: RecollectionRule, hits: Iterable[RecallItem], *, task_id: str) -> list[RecallItem]:
    """Return the hits that may enter: good enough, labelled low enough, and not of the task itself."""
    return [
        hit
        for hit in hits
        if hit.score >= rule.min_score
        and not (task_id and hit.item.task_id == task_id)
        and all(may_enter(rule, label) for label in labels_of([hit]))
    ]


def may_enter(rule: RecollectionRule, label: Label) -> bool:
    """Answer whether content with this label may enter."""
    return _RANK[label.sensitivity] <= _RANK[rule.sensitivity_max] and label.tags.isdisjoint(rule.forbidden_tags)


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
