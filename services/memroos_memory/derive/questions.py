"""What a question is about, where its words tell."""

import re

_BEFORE = re.compile(
    r"""
    \b(?:
        previous(?:ly)? | former(?:ly)? | used?\ to | originally | initially | no\ longer | any\s?more | in\ the\ past
        | back\ then | prior | earlier | at\ first | beforehand | ex- | once\ (?:lived|worked|was|were|had)
        | (?<!how\ )(?<!years\ )(?<!year\ )(?<!months\ )(?<!month\ )old(?!\ (?:is|are|was|were|enough|do|does|did)\b)
        | before(?!\ (?:\d|19|20|january|february|march|april|may\b|june|july|august|september|october|november
                        |december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|the\ end))
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def asks_before(text: str) -> bool:
    """Tell whether a question is about what was, rather than what is: where somebody lived before."""
    return _BEFORE.search(text) is not None
