"""Which version a call is in: major and minor decide, silence is 0.3."""

import pytest
from a2a.utils import errors as sdk
from hypothesis import given
from hypothesis import strategies as st

from memroos.web.a2a import versions


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ((), "0.3"),
        (([],), "0.3"),
        (([""], [""]), "0.3"),
        ((["  "],), "0.3"),
        ((["1.0"],), "1.0"),
        (([" 1.0 "],), "1.0"),
        ((["1.0.3"],), "1.0"),
        ((["0.3"],), "0.3"),
        ((["0.3.0"],), "0.3"),
        (([], ["1.0"]), "1.0"),
        (([""], ["1.0"]), "1.0"),
        ((["0.3"], ["1.0"]), "0.3"),
    ],
)
def test_a_version_is_read_wherever_it_is_said_without_its_patch(said: tuple[list[str], ...], version: str) -> None:
    assert versions.negotiate(*said) == version


@pytest.mark.parametrize(
    "said", ["1.7", "1", "2.0", "0.2", "0.4", "99.0", "v1.0", "1.0-beta", "1.0.x", "01.0", "1.00", "one", "1.0,1.0"]
)
def test_what_is_not_spoken_here_is_refused(said: str) -> None:
    with pytest.raises(sdk.VersionNotSupportedError) as refused:
        versions.negotiate([said])

    assert refused.value.data == {"served": "1.0, 0.3"}


def test_a_version_that_is_said_twice_is_refused() -> None:
    with pytest.raises(sdk.VersionNotSupportedError):
        versions.negotiate(["1.0", "0.3"])


@given(st.text(max_size=30))
def test_whatever_is_said_there_is_a_version_or_a_refusal(said: str) -> None:
    try:
        version = versions.negotiate([said])
    except sdk.VersionNotSupportedError:
        return
    assert version in versions.SERVED


def test_an_operation_of_another_version_is_refused() -> None:
    versions.demand("1.0", "1.0")
    with pytest.raises(sdk.VersionNotSupportedError, match="missing A2A-Version"):
        versions.demand("0.3", "1.0")
    with pytest.raises(sdk.VersionNotSupportedError, match=r"of A2A 0\.3, and the request is in 1\.0"):
        versions.demand("1.0", "0.3")
