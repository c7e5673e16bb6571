"""Who is reminded of what, and whether it helped."""

import msgspec
import pytest
from tests.conftest import START
from tests.memroos.memory.rules.test_answers import hit, item

from memroos.memory.rules import recollection
from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.recollection import RecollectionPolicyView, RecollectionRule


def policy(agent: str, purpose: str) -> RecollectionPolicyView:
    return RecollectionPolicyView(f"{agent}/{purpose}", agent, purpose, RecollectionRule(), 1, START, "operator:key_1")


def test_the_most_particular_policy_counts() -> None:
    by_weight = [policy("", ""), policy("", "report"), policy("agt_1", ""), policy("agt_1", "report")]
    for most in range(4):
        assert recollection.most_particular(by_weight[: most + 1]) == by_weight[most]
    assert recollection.most_particular([]) is None


def test_short_messages_and_disabled_rules_remind_of_nothing() -> None:
    rule = RecollectionRule(min_words=3)
    assert recollection.why_abstain(rule, "two words") != ""
    assert recollection.why_abstain(rule, "now three words") == ""
    assert recollection.why_abstain(msgspec.structs.replace(rule, enabled=False), "now three words") != ""


def test_what_is_labelled_too_high_too_weak_or_of_the_task_itself_does_not_enter() -> None:
    rule = RecollectionRule(min_score=0.5, sensitivity_max=Sensitivity.INTERNAL, forbidden_tags=("pii",))
    fine, weak, own, high, tagged, through_a_fact = (hit(f"mem_{n}", 0.4 if n == 1 else 1.0) for n in range(6))
    own = msgspec.structs.replace(own, item=msgspec.structs.replace(own.item, task_id="task_1"))
    confidential = Label(Sensitivity.CONFIDENTIAL)
    high = msgspec.structs.replace(high, item=msgspec.structs.replace(high.item, label=confidential))
    pii = Label(tags=frozenset({"pii"}))
    tagged = msgspec.structs.replace(tagged, item=msgspec.structs.replace(tagged.item, label=pii))
    fact = msgspec.structs.replace(item("itm_1", "mem_5"), label=confidential)
    through_a_fact = msgspec.structs.replace(through_a_fact, facts=[fact])
    admitted = recollection.admit(rule, [fine, weak, own, high, tagged, through_a_fact], task_id="task_1", asked="")
    assert [one.item.id for one in admitted] == ["mem_0"]


@pytest.mark.parametrize(
    ("memory", "tells"),
    [
        ("The crane stands in Rotterdam.", True),
        ("The crane stands in Rotterdam. Who repairs it?", True),
        ("Where does the crane stand? In Rotterdam", True),
        ("起重机在鹿特丹。在哪里\uff1f", True),
        ("And where does the other crane stand?", False),
        ("Where? And since when?", False),
        ("起重机在哪里\uff1f", False),
        ("where is the CRANE", False),
        ("", False),
    ],
)
def test_who_is_reminded_gets_no_question_back_and_nothing_it_has_just_been_told(memory: str, tells: bool) -> None:
    found = hit("mem_1", 1.0, text=memory)
    admitted = recollection.admit(RecollectionRule(), [found], task_id="", asked="Where is the crane?")
    assert admitted == ([found] if tells else [])
    with_a_fact = msgspec.structs.replace(found, facts=[item("itm_1", "mem_1")])
    assert recollection.admit(RecollectionRule(), [with_a_fact], task_id="", asked="Where is the crane?")


def test_why_nobody_is_reminded_tells_a_small_budget_from_nothing_at_all() -> None:
    rule = RecollectionRule(token_budget=100, share=0.2)
    assert recollection.why_nothing(rule, 0, 0) == "nothing bears on the task"
    assert "may enter" in recollection.why_nothing(rule, 2, 0)
    assert recollection.why_nothing(rule, 2, 1) == "what bears on the task does not fit into 20 tokens"


@pytest.mark.parametrize(
    ("said", "used"),
    [
        (["The crane stands in the harbour of Rotterdam."], True),
        (["I do not know anything about the crane."], False),
        (["Rotterdam"], False),
        ([], False),
    ],
)
def test_a_memory_counts_as_used_when_what_it_added_comes_back(said: list[str], used: bool) -> None:
    memory, question = "The crane stands in the harbour of Rotterdam since spring", "Where is the crane?"
    assert recollection.was_used(memory, question, said) is used


def test_a_memory_that_only_repeats_the_question_is_never_used() -> None:
    assert recollection.was_used("the crane", "where is the crane", ["the crane"]) is False
