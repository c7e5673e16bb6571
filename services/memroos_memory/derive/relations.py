# ruff: noqa: E501 - tables: a relation reads best on one line
"""What rules can learn: the relations, and how they are said."""

import re
from enum import Enum
from typing import Any, NamedTuple

from memroos_contracts.memory_items import ItemKind

DATE = "[\ue000-\ue03f]"
"""A date of the sentence, as one character, while it is read."""

NAME = r"[A-Z][\w'-]*(?: (?:van |von |de |der |da |di )?[A-Z][\w'-]*){0,3}"
PLACE = (
    r"(?:the )?[A-Z][\w.'-]*(?:[ -](?:(?:of|de|la|le|del|am|upon|the|on|der)[ -])?[A-Z][\w.'-]*){0,3}"
    r"(?:, [A-Z][\w.'-]*(?: [A-Z][\w.'-]*)?(?= ?(?:$|[,;]|" + DATE + r")| (?:now|with|and|but|for|as)\b))?"
)
_STREET = r"\d{1,5} ?[a-zA-Z]?(?: [A-Z][\w.'-]*){1,5}"
_ORGANISATION = r"(?:the )?[A-Z0-9][\w.&'-]*(?: (?:(?:of|for|and|&|the|de) )?[A-Z0-9&][\w.&'-]*){0,4}"
_ADVERB = (
    "(?:(?:now|currently|just|recently|still|also|actually|really|finally|already|always|usually|absolutely|definitely"
    "|totally|truly|personally|mostly|mainly|both|all|even|officially|newly|presently|happily|very much|genuinely) )*"
)
_HAVE = "(?:(?:have|has) )?" + _ADVERB
_TITLE = r"[a-zA-Z][\w/+-]*(?: [\w/+-]+){0,4}?(?= (?:at|for|in|on|with)\b| ?[,;]| ?" + DATE + "|$)"
_OCCUPATION = (
    "(?:engineer|developer|programmer|teacher|nurse|doctor|lawyer|attorney|designer|manager|architect|scientist"
    "|researcher|accountant|analyst|consultant|writer|author|journalist|editor|artist|musician|photographer|chef|cook"
    "|baker|driver|pilot|mechanic|electrician|plumber|carpenter|farmer|student|professor|lecturer|therapist|counselor"
    "|counsellor|psychologist|dentist|pharmacist|veterinarian|vet|surgeon|physician|paramedic|firefighter|librarian"
    "|translator|secretary|assistant|director|founder|ceo|cto|cfo|coo|freelancer|contractor|technician|administrator"
    "|operator|economist|biologist|chemist|physicist|mathematician|statistician|barista|waiter|waitress|bartender"
    "|salesperson|recruiter|marketer|realtor|trainer|coach|soldier|judge|actor|actress|dancer|singer|composer)"
)
_QUALIFIED = (
    r"(?:(?!(?:not|no|never|neither|hardly|longer|an?|the|my|your|his|her|their|our|in|with|at|by)\b)[\w-]+ ){0,3}?"
)
_PET = (
    "(?:dog|cat|puppy|kitten|rabbit|bunny|hamster|guinea pig|parrot|bird|budgie|canary|fish|goldfish|turtle|tortoise"
    "|snake|lizard|gecko|horse|pony|ferret|chicken|goat|rat|mouse|pet)(?:s|es)?"
)
_FAMILY = (
    "(?:kid|child|children|son|daughter|sister|brother|twin|grandchild|grandchildren|grandson|granddaughter|sibling"
    "|niece|nephew|baby|cousin|aunt|uncle|stepson|stepdaughter|half-brother|half-sister)s?"
)
_SOME = r"(?:an?|one|two|three|four|five|six|seven|\d{1,2}|some|several|another)"
_STATUS = (
    "(?:done|finished|completed?|blocked|unblocked|in progress|in review|on hold|pending|open|closed|merged|released"
    "|deployed|approved|rejected|cancel+ed|paused|failing|passing|broken|fixed|down|offline|online|delayed|postponed"
    "|archived|deprecated|live|stuck|ready for review|out of stock|sold out)"
)
_DID = (
    r"attended|finished|completed|started|began|ran|read|watched|painted|cooked|baked|built|wrote|won|lost|sold"
    r"|signed up for|applied (?:to|for)|graduated from|passed|failed|volunteered (?:at|for)|broke|learned|learnt"
    r"|adopted|bought|purchased|ordered|celebrated|hosted|organi[sz]ed|received|launched|deployed|released|merged"
    r"|fixed|shipped|hired|created|designed|published|planted|climbed|hiked|recorded|performed (?:at|in)|enrolled in"
    r"|signed|submitted|delivered|booked|cancel+ed|rented|visited|toured|met with|met|interviewed (?:at|with|for)"
    r"|participated in|took part in|registered for|subscribed to|migrated|upgraded|installed|renamed|approved|rejected"
    r"|reviewed|tested|opened|closed|paid|donated|caught|repaired|renovated"
)


class Whose(Enum):
    """Who the subject of a sentence is."""

    SELF = "self"  # I
    US = "us"  # we: the speaker, and others
    KIN = "kin"  # my sister
    NAMED = "named"  # Anna, Siemens, ABC-123
    THING = "thing"  # the report


PEOPLE = frozenset({Whose.SELF, Whose.US, Whose.KIN, Whose.NAMED})
ONE = frozenset({Whose.SELF, Whose.KIN, Whose.NAMED})
_OURS = frozenset({Whose.SELF, Whose.KIN})
_THINGS = frozenset({Whose.NAMED, Whose.THING})
_ANY = frozenset(Whose)


class Value(Enum):
    """What the object of a relation is; all else is left alone."""

    PLAIN = "plain"  # as the pattern has it
    THING = "thing"  # a phrase, up to where another begins
    LIST = "list"  # phrases with commas and "and" between
    DAY = "day"  # a date of the sentence


class Time(Enum):
    """What a date in the sentence means for a relation."""

    STATE = "state"  # since then it holds
    EVENT = "event"  # then it happened
    PLAN = "plan"  # then it is to happen


class Rule(NamedTuple):
    """How a relation is said, after its subject."""

    pattern: re.Pattern[str]
    """Group `o` is the object, group `v`, where there is one, names the relation."""
    relation: str
    says: str
    """The fact as a sentence: `{s} lives in {o}`."""
    whose: frozenset[Whose]
    kind: ItemKind = ItemKind.FACT
    functional: bool = False
    value: Value = Value.PLAIN
    time: Time = Time.STATE
    confidence: float = 0.8
    dated: bool = False
    """Whether it is learned only where the sentence has a date."""
    fallback: bool = False
    """Whether it is tried only where nothing else fits."""


def _rule(pattern: str, relation: str, says: str, whose: frozenset[Whose], **more: Any) -> Rule:
    return Rule(re.compile(pattern), relation, says, whose, **more)


def _state(pattern: str, relation: str, says: str, whose: frozenset[Whose], **more: Any) -> Rule:
    return _rule(pattern, relation, says, whose, kind=ItemKind.STATE, functional=True, **more)


def _taste(pattern: str, relation: str, says: str, **more: Any) -> Rule:
    return _rule(pattern, relation, says, PEOPLE, kind=ItemKind.PREFERENCE, **{"value": Value.LIST, **more})


_END = rf"(?= ?(?:$|[,;]|{DATE}))"
_OVER = r"(?:no longer |(?:do|does|am|is) not )"
_ANYMORE = r"(?: any ?more)"

RULES: tuple[Rule, ...] = (
    # where somebody lives
    _state(rf"{_ADVERB}(?:lives?|resides?) {_ADVERB}(?:back )?in (?P<o>{PLACE})", "lives_in", "{s} lives in {o}", PEOPLE, confidence=0.9),
    _state(rf"(?:am|is|are) {_ADVERB}(?:living|based) {_ADVERB}in (?P<o>{PLACE})", "lives_in", "{s} lives in {o}", _OURS, confidence=0.9),
    _state(rf"is {_ADVERB}living in (?P<o>{PLACE})", "lives_in", "{s} lives in {o}", frozenset({Whose.NAMED})),
    _state(
        rf"{_HAVE}(?:moved|relocated|emigrated) (?:back |over |out |house |home )*(?:from {PLACE} )?to (?P<o>{PLACE})",
        "lives_in", "{s} lives in {o}", ONE,
    ),
    _state(
        rf"(?:{_ADVERB}(?:lives?|resides?)|(?:am|is|are) {_ADVERB}living) {_ADVERB}at (?P<o>{_STREET}(?:(?:,| in) {PLACE})?)",
        "address", "{s}'s address is {o}", ONE, confidence=0.9,
    ),
    _state(
        rf"{_HAVE}(?:moved|relocated) (?:back |over |out |house |home )*(?:from .{{1,60}}? )?to (?P<o>{_STREET}(?:(?:,| in) {PLACE})?)",
        "address", "{s}'s address is {o}", ONE,
    ),
    _state(
        rf"(?:{_ADVERB}(?:lives?|resides?)|(?:am|is|are) {_ADVERB}living) {_ADVERB}at {_STREET}(?:,| in) (?P<o>{PLACE})",
        "lives_in", "{s} lives in {o}", ONE, confidence=0.9,
    ),
    _state(
        rf"{_HAVE}(?:moved|relocated) (?:back |over |out |house |home )*(?:from .{{1,60}}? )?to {_STREET}(?:,| in) (?P<o>{PLACE})",
        "lives_in", "{s} lives in {o}", ONE,
    ),
    _state(rf"{_HAVE}settled (?:down )?in (?P<o>{PLACE})", "lives_in", "{s} lives in {o}", PEOPLE),
    _rule(rf"no longer lives? in (?P<o>{PLACE})", "no_longer_lives_in", "{s} no longer lives in {o}", PEOPLE),
    _rule(rf"(?:do|does) not live in (?P<o>{PLACE}){_ANYMORE}", "no_longer_lives_in", "{s} no longer lives in {o}", PEOPLE),
    _rule(rf"{_HAVE}moved (?:away |out )(?:from|of) (?P<o>{PLACE})", "no_longer_lives_in", "{s} no longer lives in {o}", ONE),
    _rule(rf"(?:used to live|formerly lived|previously lived|lived) in (?P<o>{PLACE})", "lived_in", "{s} used to live in {o}", PEOPLE, time=Time.EVENT),
    _rule(rf"(?:am|is|comes?) {_ADVERB}(?:originally )?from (?P<o>{PLACE})", "is_from", "{s} is from {o}", _OURS),
    _rule(rf"grew up in (?P<o>{PLACE})", "grew_up_in", "{s} grew up in {o}", PEOPLE),
    _state(rf"was born in (?P<o>{PLACE})", "born_in", "{s} was born in {o}", ONE),
    _state(rf"(?:is|are) {_ADVERB}(?:located|based|headquartered|situated) in (?P<o>{PLACE})", "located_in", "{s} is in {o}", _THINGS),
    _state(rf"(?:have|has) {_ADVERB}(?:lived|been living) in (?P<o>{PLACE})(?= ?{DATE}| for )", "lives_in", "{s} lives in {o}", PEOPLE),
    # work
    _state(rf"(?:have|has) {_ADVERB}(?:worked|been working|been) (?:at|for|with) (?P<o>{_ORGANISATION})(?= ?{DATE}| for )", "works_at", "{s} works at {o}", ONE),
    _state(
        rf"(?:{_ADVERB}works?|(?:am|is|are) {_ADVERB}(?:working|employed)) {_ADVERB}(?:full[- ]time |part[- ]time |remotely )?"
        rf"(?:as (?:an?|the) [\w /+-]{{2,40}}? )?(?:at|for) (?P<o>{_ORGANISATION})",
        "works_at", "{s} works at {o}", ONE, confidence=0.9,
    ),
    _state(
        rf"{_HAVE}(?:joined|started (?:working |work |a (?:new )?job |my new job )?at|was hired by|got hired by"
        rf"|(?:got|took|accepted) (?:a|the) (?:new )?(?:job|position) (?:at|with)) (?P<o>{_ORGANISATION})",
        "works_at", "{s} works at {o}", ONE, confidence=0.7,
    ),
    _rule(rf"no longer works? (?:at|for) (?P<o>{_ORGANISATION})", "no_longer_works_at", "{s} no longer works at {o}", ONE),
    _rule(rf"(?:do|does) not work (?:at|for) (?P<o>{_ORGANISATION}){_ANYMORE}", "no_longer_works_at", "{s} no longer works at {o}", ONE),
    _rule(rf"{_HAVE}(?:quit|left|resigned from) (?:my|his|her|the) job (?:at|with) (?P<o>{_ORGANISATION})", "no_longer_works_at", "{s} no longer works at {o}", ONE),
    _rule(rf"(?:used to work|formerly worked|previously worked|worked) (?:at|for) (?P<o>{_ORGANISATION})", "worked_at", "{s} used to work at {o}", ONE, time=Time.EVENT),
    _state(
        rf"(?:{_ADVERB}works?|(?:am|is) {_ADVERB}working) {_ADVERB}as (?:an?|the) (?P<o>{_TITLE})",
        "job_title", "{s}'s job title is {o}", ONE,
    ),
    _state(
        rf"(?:am|is|became|{_HAVE}become|(?:was|got) promoted to) {_ADVERB}(?:an? |the )?(?P<o>{_QUALIFIED}{_OCCUPATION})"
        rf"(?= (?:at|for|in|on|with)\b| ?[,;]| ?{DATE}|$)",
        "job_title", "{s}'s job title is {o}", ONE,
    ),
    _rule(rf"(?:study|studies|(?:am|is) {_ADVERB}studying|majors? in) (?P<o>.+)", "studies", "{s} studies {o}", ONE, value=Value.THING, confidence=0.7),
    # person
    _state(r"(?:am|is) called (?P<o>" + NAME + ")", "has_name", "{s} is called {o}", frozenset({Whose.SELF})),
    _state(rf"(?:am|{_HAVE}turned) {_ADVERB}(?P<o>(?:1[01]\d|[1-9]\d?))(?: years? old| today)?{_END}", "age", "{s} is {o} years old", frozenset({Whose.SELF})),
    _state(rf"(?:is {_ADVERB}(?P<o>(?:1[01]\d|[1-9]\d?)) years? old|{_HAVE}turned (?P<p>(?:1[01]\d|[1-9]\d?))){_END}", "age", "{s} is {o} years old", ONE),
    _state(
        rf"(?:am|is|are|{_HAVE}(?:got|gotten|been)) {_ADVERB}(?P<o>married|engaged|divorced|widowed|single)(?: to {NAME})?{_END}",
        "marital_status", "{s} is {o}", frozenset({Whose.SELF, Whose.KIN, Whose.NAMED, Whose.US}),
    ),
    _state(rf"(?:am|is|got) {_ADVERB}(?:married|engaged) to (?P<o>{NAME})", "partner", "{s}'s partner is {o}", ONE),
    _state(rf"was born (?:on )?(?P<o>{DATE})", "birthday", "{s} was born on {o}", ONE, value=Value.DAY, confidence=0.9),
    _state(
        rf"(?:am|is|became|{_HAVE}(?:become|gone|went)) {_ADVERB}(?:an? )?(?P<o>vegan|vegetarian|pescatarian|gluten-free|teetotal){_END}",
        "diet", "{s} is {o}", ONE,
    ),
    _rule(r"(?:am|is) (?:\w+ly )?allergic to (?P<o>.+)", "allergic_to", "{s} is allergic to {o}", ONE, value=Value.LIST, confidence=0.95),
    _rule(r"(?:am|is) (?P<o>\w+)[- ]intolerant", "allergic_to", "{s} is allergic to {o}", ONE),
    _rule(r"(?:have|has) an? (?:\w+ly |severe |bad |mild )?(?P<o>[a-z]+) allergy", "allergic_to", "{s} is allergic to {o}", ONE, confidence=0.9),
    _rule(r"(?:have been|has been|was|got) diagnosed with (?P<o>.+)", "diagnosed_with", "{s} was diagnosed with {o}", ONE, value=Value.THING, time=Time.EVENT),
    _rule(rf"{_ADVERB}speaks? (?:fluent |some |a little |a bit of |good )?(?P<o>[A-Z][a-z]+(?:,? (?:and )?[A-Z][a-z]+)*)", "speaks", "{s} speaks {o}", ONE, value=Value.LIST),
    # what somebody has
    _rule(
        rf"{_ADVERB}(?:haves?|has|owns?|{_HAVE}(?:got|adopted|rescued)) {_ADVERB}(?P<o>{_SOME} (?:[\w-]+ ){{0,3}}?{_PET}(?: (?:named|called) {NAME}(?:(?:, | and |, and ){NAME})*)?){_END}",
        "has_pet", "{s} has {o}", PEOPLE, confidence=0.9,
    ),
    _rule(
        rf"{_ADVERB}(?:have|has|{_HAVE}got) (?P<o>{_SOME} (?:[\w-]+ ){{0,2}}?{_FAMILY}(?: (?:named|called) {NAME}(?:(?:, | and |, and ){NAME})*)?){_END}",
        "has_family", "{s} has {o}", PEOPLE, confidence=0.85,
    ),
    _rule(rf"{_ADVERB}owns? (?P<o>{_SOME} .+)", "owns", "{s} owns {o}", PEOPLE, value=Value.THING),
    # tastes
    _taste(rf"{_ADVERB}(?:likes?|loves?|enjoys?|adores?) (?P<o>.+)", "likes", "{s} likes {o}", confidence=0.75),
    _taste(
        rf"(?:am|is|are) {_ADVERB}(?:into|fond of|keen on|crazy about|passionate about|obsessed with|an? (?:big |huge |great )?fan of) (?P<o>.+)",
        "likes", "{s} likes {o}", confidence=0.75,
    ),
    _taste(r"(?:do|does) not (?:really |particularly |much )?(?:like|enjoy|love) (?P<o>.+)", "dislikes", "{s} dislikes {o}"),
    _taste(r"no longer (?:likes?|enjoys?|loves?) (?P<o>.+)", "dislikes", "{s} dislikes {o}", confidence=0.7),
    _taste(rf"{_ADVERB}(?:hates?|dislikes?|detests?|despises?|can not stand) (?P<o>.+)", "dislikes", "{s} dislikes {o}"),
    _taste(r"(?:am|is|are) not (?:really )?(?:into|fond of|keen on|an? (?:big |huge )?fan of) (?P<o>.+)", "dislikes", "{s} dislikes {o}"),
    _taste(rf"{_ADVERB}prefers? (?P<o>.+)", "prefers", "{s} prefers {o}", value=Value.THING, confidence=0.85),
    # what somebody can, uses, belongs to
    _rule(rf"{_ADVERB}plays? (?:the )?(?P<o>(?!a |an |it |with |along|around|together|host)[\w -]+)", "plays", "{s} plays {o}", ONE, value=Value.THING, confidence=0.7),
    _rule(rf"(?:{_ADVERB}uses?|(?:am|is|are) {_ADVERB}using) (?P<o>{_ORGANISATION})", "uses", "{s} uses {o}", PEOPLE, confidence=0.75),
    _rule(rf"{_ADVERB}knows? (?P<o>{NAME}){_END}", "knows", "{s} knows {o}", ONE, confidence=0.7),
    _rule(r"(?:am|is|became) (?:an? )?(?:\w+ )?member of (?P<o>.+)", "member_of", "{s} is a member of {o}", ONE, value=Value.THING),
    # things
    _state(rf"(?:is|are) (?:now |currently |still )?(?:marked (?:as )?)?(?P<o>{_STATUS}){_END}", "status", "{s} is {o}", _THINGS, confidence=0.75),
    _state(rf"(?:is|are) (?:now )?due (?P<o>{DATE})", "deadline", "{s} is due on {o}", _THINGS, value=Value.DAY, confidence=0.85),
    _state(r"costs? (?:now )?(?P<o>[$\u20ac\u00a3] ?\d[\d,.]*\d|[$\u20ac\u00a3]\d|\d[\d,.]* ?(?:dollars|euros?|pounds|EUR|USD|GBP|cents))", "price", "{s} costs {o}", _THINGS),
    _state(r"(?:runs?|listens?|is (?:now )?(?:running|listening)) on (?P<o>port \d{2,5})", "runs_on", "{s} runs on {o}", _THINGS),
    # what happened, and what is to happen
    _rule(
        rf"{_HAVE}(?:visited|went to|been to|travel+ed to|flew to|drove to|took a trip to|returned from|came back from) "
        rf"(?P<o>(?:an?|the|my|our|[A-Z][\w.'-]*)\b.*)",
        "visited", "{s} went to {o}", PEOPLE, value=Value.THING, time=Time.EVENT, confidence=0.75,
    ),
    _rule(r"(?:plans?|intends?|(?:am|is|are) (?:now |currently )?(?:planning|intending)) (?:to|on) (?P<o>.+)", "plans", "{s} plans to {o}", PEOPLE, value=Value.THING, time=Time.PLAN),
    _rule(r"(?:am|is|are) (?:now )?planning (?P<o>(?:an?|the|my|our) .+)", "plans", "{s} plans {o}", PEOPLE, value=Value.THING, time=Time.PLAN),
    _rule(r"(?:(?:am|is|are) going to|will) (?P<o>(?!not |never |be |also be |have |do |see |let |take |make |get )[a-z]+ .+)", "plans", "{s} plans to {o}", PEOPLE, value=Value.THING, time=Time.PLAN, dated=True, confidence=0.7),
    _rule(r"(?:am|is|are) (?P<o>(?:moving|flying|travel+ing|driving|going) (?:back )?to " + PLACE + ")", "plans", "{s} plans: {o}", PEOPLE, time=Time.PLAN, confidence=0.7),
    _rule(rf"{_HAVE}(?P<v>decided|agreed|promised) (?P<o>(?:to|on|that) .+)", "decided", "{s} {v} {o}", PEOPLE, value=Value.THING, time=Time.EVENT, confidence=0.75),
    _rule(rf"{_HAVE}(?P<v>{_DID}) (?P<o>(?!(?:into|away|out|off|up|over|by|down|back|on|with|about|to|through|across)\b).+)", "did", "{s} {v} {o}", PEOPLE, value=Value.THING, time=Time.EVENT, confidence=0.6, fallback=True),
    _rule(r"is (?P<o>an? [a-z].+)", "is_a", "{s} is {o}", frozenset({Whose.NAMED}), value=Value.THING, confidence=0.6, fallback=True),
)  # fmt: skip


class Attribute(NamedTuple):
    """A property that is said as "my email is", "Anna's birthday is", "the deadline of the report is"."""

    name: re.Pattern[str]
    relation: str
    """Empty: the property's own name."""
    value: re.Pattern[str]
    kind: ItemKind = ItemKind.STATE
    functional: bool = True
    confidence: float = 0.9


def _attribute(name: str, relation: str, value: str, **more: Any) -> Attribute:
    return Attribute(
        re.compile(rf"(?:new |current |official )?(?P<n>{name})\Z", re.IGNORECASE),
        relation,
        re.compile(rf"(?P<o>{value})"),
        **more,
    )


_ONE_NAME = rf"{NAME}(?= ?(?:$|[,;(]| and\b| but\b|{DATE}))"
_EMAIL = r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
_FEW = rf"(?!an? |the |not |very |too |so |really |to |in |on |at |what |that |one |when |how |where |why |who |if |also |being )[\w'&/ .-]{{1,60}}?{_END}"

ATTRIBUTES: tuple[Attribute, ...] = (
    _attribute("(?:full |real |first |last |middle |sur)?name", "has_name", _ONE_NAME, confidence=0.95),
    _attribute("nickname", "nickname", _ONE_NAME),
    _attribute("(?:work |private |personal )?e-?mail(?: address)?", "email", _EMAIL, confidence=0.95),
    _attribute("(?:phone|cell|mobile|telephone|whatsapp)(?: phone)?(?: number)?|number", "phone", r"\+?\d[\d /().-]{4,20}\d", confidence=0.95),
    _attribute("(?:home |postal |mailing |street |office )?address", "address", rf"(?=[^{DATE[1:-1]}]*\d)[\w][\w .,'/#-]{{4,120}}", confidence=0.9),
    _attribute("birthday|birth ?date|date of birth", "birthday", DATE, confidence=0.95),
    _attribute("age", "age", r"(?:1[01]\d|[1-9]\d?)\b"),
    _attribute("job title|title|role|job|position|occupation|profession", "job_title", rf"(?:an? |the )?{_QUALIFIED}{_OCCUPATION}\b"),
    _attribute("employer|company", "works_at", _ONE_NAME, confidence=0.8),
    _attribute("time ?zone", "timezone", r"[A-Z][\w/+:-]*(?: [A-Z][\w+:-]*){0,2}"),
    _attribute(r"favou?rite [a-z]+(?: [a-z]+)?", "", _FEW, kind=ItemKind.PREFERENCE),
    _attribute(
        "manager|boss|supervisor|mentor|therapist|doctor|dentist|landlord|lawyer|wife|husband|partner|girlfriend"
        "|boyfriend|fianc[e\u00e9]e?|spouse|best friend|team lead", "", _ONE_NAME,
    ),
    _attribute(
        "sister|brother|mother|father|mom|mum|dad|son|daughter|friend|colleague|cousin|aunt|uncle|teacher|roommate"
        "|flatmate|neighbou?r|niece|nephew|grandmother|grandfather|grandma|grandpa|dog|cat|puppy|kitten|horse", "",
        _ONE_NAME, kind=ItemKind.FACT, functional=False,
    ),
    _attribute("home ?town", "hometown", PLACE),
    _attribute("nationality|native language|mother tongue|blood type|star sign|zodiac sign", "", _FEW),
    _attribute("(?:shoe size|height|weight|(?:employee|customer|account|ticket|order) (?:id|number))", "", rf"(?=[\w ]*\d)[\w#-]+(?: [a-z]{{1,6}})?{_END}"),
    _attribute("deadline|due date|start date|end date|release date|launch date", "", DATE),
    _attribute("owner|lead|maintainer|author|assignee|reviewer", "", _ONE_NAME),
    _attribute("budget|price|cost", "", r"[$\u20ac\u00a3]? ?\d[\d,.]*(?: ?(?:k|m|million|thousand|dollars|euros?|pounds|EUR|USD|GBP))?\b"),
    _attribute("version", "", r"v?\d[\w.-]*"),
    _attribute("port", "", r"\d{2,5}\b"),
    _attribute("url|website|homepage|repository|repo", "", r"(?:https?://|www\.)[^\s,;]{3,200}"),
    _attribute("status", "", rf"{_STATUS}\b"),
    _attribute("location|capital", "", PLACE),
    _attribute("code ?name", "codename", rf"\"[^\"]{{1,60}}\"|{_ONE_NAME}"),
)  # fmt: skip

TOWN_OF_HOME = re.compile(rf"(?:home )?address: {_STREET}(?:,| in) (?P<o>{PLACE})")
"""An address and what it is called, where it says in which town somebody lives."""

KIN = (
    "(?:(?:older|younger|elder|big|little|best|twin|half|step|ex) ?-?)*"
    "(?:sister|brother|mother|father|mom|mum|dad|mommy|daddy|parents|son|daughter|wife|husband|partner|girlfriend"
    "|boyfriend|fianc[e\u00e9]e?|boss|manager|colleague|coworker|co-worker|friend|cousin|aunt|uncle|niece|nephew"
    "|grandmother|grandfather|grandma|grandpa|roommate|flatmate|neighbou?r|teacher|landlord|therapist|mentor|dog|cat"
    "|puppy|kitten|horse|team lead)"
)
