"""The table of deviations speaks of the suite as it is."""

import pytest
from tests.conformance import acts, deviations, specials

TESTS = {test.id: test for test in acts.load()}


@pytest.mark.skipif(not TESTS, reason=acts.ABSENT)
def test_every_deviation_changes_a_step_that_there_is() -> None:
    for row in deviations.DEVIATIONS:
        steps = {step["id"]: step for step in TESTS[row.test].steps}
        for words, instead in row.instead.items():
            assert steps[row.step][words] != instead
        assert row.section
        assert row.sentence


@pytest.mark.skipif(not TESTS, reason=acts.ABSENT)
def test_every_special_is_about_a_test_that_there_is() -> None:
    named = {*specials.KEYS, *deviations.NO_SERVER_TESTS}
    assert named <= set(TESTS)


@pytest.mark.skipif(not TESTS, reason=acts.ABSENT)
def test_every_test_runs_with_all_capabilities_or_with_none() -> None:
    for test in TESTS.values():
        sets = [{**dict.fromkeys(acts.CAPABILITIES, on), "authentication": True} for on in (True, False)]
        assert test.client_only or any(test.fits(has) for has in sets)
