"""What a sentence teaches, and what it does not. Said by Caroline on Monday, 8 May 2023."""

from datetime import UTC, datetime

import pytest

from memroos_contracts.memory_items import ItemKind
from memroos_memory.derive import learn
from memroos_memory.items import Learned

AT = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
Spo = tuple[str, str, str]


def taught(text: str, *, speaker: str = "Caroline") -> list[Learned]:
    return learn(text, speaker=speaker, author="agent:agt_a", occurred_at=AT)


def triples(text: str) -> list[Spo]:
    return [(one.triple.subject, one.triple.relation, one.triple.object) for one in taught(text) if one.triple]


ME = "Caroline"

FUNCTIONAL: list[tuple[str, Spo]] = [
    ("I live in Munich.", (ME, "lives_in", "Munich")),
    ("I live in Munich, Germany now.", (ME, "lives_in", "Munich, Germany")),
    ("I'm currently living in New York City!", (ME, "lives_in", "New York City")),
    ("I moved to Munich", (ME, "lives_in", "Munich")),
    ("I've just moved from Berlin to Munich.", (ME, "lives_in", "Munich")),
    ("By the way, Melanie, I moved to Hamburg in March 2022.", (ME, "lives_in", "Hamburg")),
    ("Last week I moved to Berlin and it is great.", (ME, "lives_in", "Berlin")),
    ("I\u2019ve lived in Oslo since 2019.", (ME, "lives_in", "Oslo")),
    ("i live in munich", (ME, "lives_in", "Munich")),
    ("We live in S\u00e3o Paulo.", (ME, "lives_in", "S\u00e3o Paulo")),
    ("Anna lives in Berlin.", ("Anna", "lives_in", "Berlin")),
    ("My sister lives in Berlin.", ("Caroline's sister", "lives_in", "Berlin")),
    ("My sister Anna lives in Berlin.", ("Anna", "lives_in", "Berlin")),
    ("Mom lives in Boston", ("Caroline's mom", "lives_in", "Boston")),
    ("I now live at 3 Mill Lane.", (ME, "address", "3 Mill Lane")),
    ("I work at Siemens.", (ME, "works_at", "Siemens")),
    ("I'm working for the World Bank now", (ME, "works_at", "the World Bank")),
    ("I've worked at Google since 2019", (ME, "works_at", "Google")),
    ("I got a new job at Acme Corp.", (ME, "works_at", "Acme Corp")),
    ("I'm a software engineer", (ME, "job_title", "software engineer")),
    ("I was promoted to senior manager last month", (ME, "job_title", "senior manager")),
    ("My name is Caroline Smith", (ME, "has_name", "Caroline Smith")),
    ("You can call me anytime, but my nickname is Caro.", (ME, "nickname", "Caro")),
    ("my email is a.b@example.org", (ME, "email", "a.b@example.org")),
    ("My email has changed to new@example.org", (ME, "email", "new@example.org")),
    ("You can reach me at +49 89 1234567", (ME, "phone", "+49 89 1234567")),
    ("Anna's phone number is 555-123-4567", ("Anna", "phone", "555-123-4567")),
    ("my new address is 12 Main Street", (ME, "address", "12 Main Street")),
    ("My birthday is on 8 May", (ME, "birthday", "8 May")),
    ("My birthday is 8 May 1990.", (ME, "birthday", "8 May 1990")),
    ("I'm 34 years old", (ME, "age", "34")),
    ("I turned 35 yesterday", (ME, "age", "35")),
    ("I got married last year", (ME, "marital_status", "married")),
    ("I'm vegan", (ME, "diet", "vegan")),
    ("My manager is Bob Smith", (ME, "manager", "Bob Smith")),
    ("Remember that my wife is Clara", (ME, "wife", "Clara")),
    ("My wife's name is Clara", (ME, "wife", "Clara")),
    ("The deployment is done", ("deployment", "status", "done")),
    ("Task ABC-123 is blocked", ("Task ABC-123", "status", "blocked")),
    ("The report is due on Friday", ("report", "deadline", "12 May 2023")),
    ("The deadline for the report is 12 May 2023", ("report", "deadline", "12 May 2023")),
    ("Project Apollo's owner is Dana", ("Project Apollo", "owner", "Dana")),
    ("The budget of the launch is $5,000", ("launch", "budget", "$5,000")),
    ("The server listens on port 7701", ("server", "runs_on", "port 7701")),
    ("Siemens is based in Munich", ("Siemens", "located_in", "Munich")),
]

MANY: list[tuple[str, list[Spo]]] = [
    ("I like pizza, sushi and tacos", [(ME, "likes", "pizza"), (ME, "likes", "sushi"), (ME, "likes", "tacos")]),
    ("I really love hiking in the mountains.", [(ME, "likes", "hiking in the mountains")]),
    ("I'm a big fan of pottery - the skill is awesome.", [(ME, "likes", "pottery")]),
    ("Anna enjoys chess.", [("Anna", "likes", "chess")]),
    ("I don't like olives", [(ME, "dislikes", "olives")]),
    ("I'm not really into hiking but I'm curious.", [(ME, "dislikes", "hiking")]),
    ("I hate loud music", [(ME, "dislikes", "loud music")]),
    ("I prefer tea over coffee", [(ME, "prefers", "tea over coffee")]),
    ("My favourite color is blue", [(ME, "favorite_color", "blue")]),
    ("I'm allergic to peanuts and shellfish", [(ME, "allergic_to", "peanuts"), (ME, "allergic_to", "shellfish")]),
    ("Sure! I'm lactose intolerant, so no milk.", [(ME, "allergic_to", "lactose")]),
    ("I have a dog named Max", [(ME, "has_pet", "a dog named Max")]),
    ("We have two cats.", [(ME, "has_pet", "two cats")]),
    ("My dog is called Rex", [(ME, "dog", "Rex")]),
    ("I have two kids", [(ME, "has_family", "two kids")]),
    ("I speak German and French", [(ME, "speaks", "German"), (ME, "speaks", "French")]),
    ("I use Neovim", [(ME, "uses", "Neovim")]),
    ("I own a blue bicycle", [(ME, "owns", "a blue bicycle")]),
    ("I went to a pottery class yesterday and it was fun", [(ME, "visited", "a pottery class")]),
    ("I've been to Paris twice", [(ME, "visited", "Paris")]),
    ("I used to live in Paris", [(ME, "lived_in", "Paris")]),
    ("I finished the report on Friday", [(ME, "finished", "the report")]),
    ("I won my first tournament", [(ME, "won", "their first tournament")]),
    ("Anna visited my house", [("Anna", "visited", "Caroline's house")]),
    ("I'm planning to visit Rome next month", [(ME, "plans", "visit Rome")]),
    ("I'm going to visit Rome next month", [(ME, "plans", "visit Rome")]),
    ("We decided to use Postgres", [(ME, "decided", "to use Postgres")]),
    (
        "I live at 14 Harbour Street in Bristol and I ordered a kettle.",
        [
            (ME, "address", "14 Harbour Street in Bristol"),
            (ME, "lives_in", "Bristol"),
            (ME, "ordered", "a kettle"),
        ],
    ),
    ("I moved to 3 Mill Lane, Leeds.", [(ME, "address", "3 Mill Lane, Leeds"), (ME, "lives_in", "Leeds")]),
    (
        "I moved last week, my new address is 3 Mill Lane, Leeds.",
        [(ME, "address", "3 Mill Lane, Leeds"), (ME, "lives_in", "Leeds")],
    ),
    ("My office address is 3 Mill Lane, Leeds.", [(ME, "address", "3 Mill Lane, Leeds")]),
    ("I live in Munich and work at Siemens", [(ME, "lives_in", "Munich"), (ME, "works_at", "Siemens")]),
    ("I live in Munich, and my email is a@b.example.", [(ME, "lives_in", "Munich"), (ME, "email", "a@b.example")]),
    ("I work as a nurse at St. Mary's Hospital", [(ME, "works_at", "St. Mary's Hospital"), (ME, "job_title", "nurse")]),
    (
        "I no longer live in Munich",
        [(ME, "no_longer_lives_in", "Munich"), (ME, "lives_in", "Munich")],
    ),
]

NOTHING = [
    # questions
    "Do I live in Munich?",
    "I live in Munich, right?",
    "I live in Munich, don't I",
    "Where do you live?",
    "My name is what?",
    # suppositions, wishes
    "If I lived in Munich, I would be happy.",
    "I wish I lived in Rome",
    "I might move to Rome",
    "Maybe I like pizza.",
    "I'd like a pizza",
    "I would love to live in Paris",
    "I should buy a car",
    "Imagine I live in Paris.",
    "Suppose my name is Bob.",
    "I almost moved to Rome",
    "Someday I live in Rome.",
    "I hope my manager is Bob",
    "In my story, I live in Paris.",
    "I thought I was allergic to nuts",
    # what others say
    'She said "I live in Paris. I work at Apple."',
    "Anna said: I live in Paris.",
    "> I live in Paris",
    "```\nI live in Paris.\n```",
    # negations
    "I don't live in Paris",
    "I am not allergic to nuts",
    "I have never been to Rome",
    "I'm not a doctor",
    "My name isn't Bob",
    "I don't have a dog",
    # other meanings of the same words
    "I moved to the next task",
    "I live in fear",
    "i live in a house",
    "I work at night",
    "I work for free",
    "I left the house",
    "I'm engaged in a project",
    "I am 5 minutes late",
    "I like it",
    "I love you",
    "I like that",
    "I love the colors!",
    "I like your painting",
    "I love to",
    "Thanks, I love it!",
    "I have a question",
    "I have a lot of work",
    "I went to bed",
    "I'm going to check it",
    "I know that",
    "I know you",
    "I started to",
    "I ran into Anna",
    "It is a nice day.",
    "This is Anna's book",
    "Painting is a fun way to relax",
    "Kids love pizza",
    "Everyone likes pizza",
    "Nobody lives in Atlantis",
    "Yesterday was nice",
    "You live in Berlin",
    "Your name is Bob",
    "He lives in Berlin",
    "My email is broken",
    "My phone is dead",
    "My address is wrong",
    "My manager is nice",
    "My birthday is soon",
    "My favorite thing is when we talk",
    # secrets
    "My password is hunter2",
    "My API key is sk-1234567890",
    "Anna's PIN is 1234",
    # nothing
    "",
    "   ",
    "Hey! How are you? Good to see you.",
    "!!!",
    "\u2047 \ue000 \ue001",
]


@pytest.mark.parametrize(("text", "expected"), FUNCTIONAL, ids=[text for text, _ in FUNCTIONAL])
def test_what_is_one_at_a_time_is_learned_as_such(text: str, expected: Spo) -> None:
    (one,) = [one for one in taught(text) if one.functional]

    assert one.triple is not None
    assert (one.triple.subject, one.triple.relation, one.triple.object) == expected
    assert one.kind is ItemKind.STATE


@pytest.mark.parametrize(("text", "expected"), MANY, ids=[text for text, _ in MANY])
def test_facts_and_tastes_are_learned(text: str, expected: list[Spo]) -> None:
    assert triples(text) == expected


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_is_learned_from_what_states_nothing(text: str) -> None:
    assert taught(text) == []


def test_tastes_are_preferences_and_what_happened_are_facts() -> None:
    assert [one.kind for one in taught("I like tea. I visited Rome.")] == [ItemKind.PREFERENCE, ItemKind.FACT]


def test_a_fact_reads_as_a_sentence_about_who_it_is_about() -> None:
    text = "I moved to Munich. My birthday is 8 May. I went to a concert yesterday."

    assert [one.text for one in taught(text)] == [
        "Caroline lives in Munich",
        "Caroline's birthday is 8 May",
        "Caroline went to a concert (7 May 2023)",
    ]


def test_a_state_holds_from_the_date_that_is_named_and_else_since_it_was_said() -> None:
    assert [one.valid_from for one in taught("I moved to Munich")] == [None]
    assert [one.valid_from for one in taught("I moved to Munich in May 2022")] == [datetime(2022, 5, 1, tzinfo=UTC)]
    assert [one.valid_from for one in taught("Since 2019 I live in Munich")] == [datetime(2019, 1, 1, tzinfo=UTC)]
    assert [one.valid_from for one in taught("Last week, I moved to Munich")] == [datetime(2023, 5, 1, tzinfo=UTC)]


def test_what_happened_is_true_from_then_on_for_good() -> None:
    (one,) = taught("I bought a new car last week")

    assert (one.valid_from, one.valid_to) == (datetime(2023, 5, 1, tzinfo=UTC), None)
    assert one.text == "Caroline bought a new car (1 May 2023 to 7 May 2023)"


def test_a_state_that_is_over_ends_what_was_known_of_it() -> None:
    said, ended = taught("I no longer work at Acme")

    assert said.text == "Caroline no longer works at Acme"
    assert not said.functional
    assert ended.triple is not None
    assert (ended.triple.relation, ended.triple.object, ended.valid_to) == ("works_at", "Acme", AT)


def test_who_speaks_is_the_speaker_and_without_one_the_author() -> None:
    assert [one.text for one in taught("I live in Rome", speaker="")] == ["agent:agt_a lives in Rome"]
    assert learn("I live in Rome", speaker="", author="", occurred_at=AT) == []


def test_the_same_is_learned_once_from_one_text() -> None:
    assert len(taught("I live in Rome. Yes, I live in Rome! My dog is called Rex. My dog's name is Rex.")) == 2


def test_what_we_do_is_less_sure_than_what_i_do() -> None:
    (ours,) = taught("We live in Rome")
    (mine,) = taught("I live in Rome")

    assert ours.confidence < mine.confidence <= 1


def test_a_long_text_is_read_to_its_limit_and_teaches_a_limited_number_of_things() -> None:
    text = " ".join(f"I visited Place{number}." for number in range(200))

    assert len(taught(text)) == 64
    assert taught("word " * 4_000 + ". I live in Rome.") == []
