"""Which kernel, as whom, and how refusals are said."""

from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner
from tests.memroos.cli.conftest import Run
from tests.memroos_client.scripted import Answer, ScriptedKernel, json, problem

from memroos.cli import cli
from memroos.cli.options import find_url, pairs
from memroos_kit import lock

EMPTY = json({"items": [], "next_cursor": None})


def bearer(kernel: ScriptedKernel) -> str:
    return kernel.requests[-1].headers["authorization"]


# -- as whom ---------------------------------------------------------------------------------------------------------


def test_the_operators_key_of_this_machine_is_used_by_itself(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(EMPTY)

    assert run("agents", "list").exit_code == 0

    assert bearer(kernel) == "Bearer mr_operator_x"


def test_a_key_in_the_environment_goes_first(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(EMPTY)

    run("agents", "list", MEMROOS_API_KEY="mr_viewer_y")

    assert bearer(kernel) == "Bearer mr_viewer_y"


def test_a_key_file_goes_before_all(run: Run, kernel: ScriptedKernel, tmp_path: Path) -> None:
    kernel.answers(EMPTY)
    (tmp_path / "key").write_text("mr_auditor_z\n")

    run("agents", "list", "--key-file", str(tmp_path / "key"), MEMROOS_API_KEY="mr_viewer_y")

    assert bearer(kernel) == "Bearer mr_auditor_z"


def test_the_operators_key_may_be_a_setting(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(EMPTY)
    key = "operator-key-of-at-least-32-characters"

    run("agents", "list", MEMROOS_OPERATOR_API_KEY=key)

    assert bearer(kernel) == f"Bearer {key}"


def test_without_any_key_the_command_says_where_it_looked(run: Run, data_dir: Path) -> None:
    (data_dir / "operator.key").unlink()

    result = run("agents", "list")

    assert result.exit_code == 1
    assert f"{data_dir / 'operator.key'} does not exist" in result.stderr
    assert "--key-file" in result.stderr


def test_a_key_file_that_is_not_there_is_named(run: Run) -> None:
    result = run("agents", "list", "--key-file", "nowhere")

    assert result.exit_code == 1
    assert "nowhere cannot be read" in result.stderr


# -- which kernel ----------------------------------------------------------------------------------------------------


def test_an_option_names_the_kernel(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(EMPTY)

    assert run("agents", "list", "--url", kernel.url, MEMROOS_URL="http://127.0.0.1:9").exit_code == 0


def test_without_a_word_it_is_the_one_that_the_settings_describe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMROOS_PORT", "7788")

    assert find_url() == "http://127.0.0.1:7788"


def test_a_kernel_on_any_port_is_found_by_its_lock(run: Run, kernel: ScriptedKernel, data_dir: Path) -> None:
    kernel.answers(EMPTY)

    with lock.hold(data_dir / "kernel.lock", address=kernel.url):
        result = run("agents", "list", MEMROOS_URL="", MEMROOS_PORT="0")

    assert result.exit_code == 0


def test_no_kernel_at_all_is_not_reachable(run: Run) -> None:
    result = run("agents", "list", MEMROOS_URL="", MEMROOS_PORT="0")

    assert result.exit_code == 3
    assert "memroos up" in result.stderr


def test_a_kernel_that_is_away_is_not_reachable(run: Run) -> None:
    result = run("agents", "list", "--url", "http://127.0.0.1:9")

    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "Error: The kernel at http://127.0.0.1:9 cannot be reached: nobody answers there.",
        "Hint:  Start it with `memroos up`, or say where it is with --url or MEMROOS_URL.",
    ]


@pytest.mark.parametrize("url", ["localhost:7700", "ftp://x", "http://", "http://127.0.0.1:99999999"])
def test_an_address_that_is_none_is_wrong_usage(run: Run, url: str) -> None:
    result = run("agents", "list", "--url", url)

    assert result.exit_code == 2
    assert "An address looks like" in result.stderr


def test_a_wrong_setting_is_wrong_usage_and_named(run: Run) -> None:
    result = run("agents", "list", MEMROOS_URL="", MEMROOS_PRT="1")

    assert result.exit_code == 2
    assert "MEMROOS_PRT: there is no such setting" in result.stderr


# -- refusals --------------------------------------------------------------------------------------------------------


def test_a_refusal_is_one_line_and_a_hint(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(problem(404, "not-found", "There is no such agent."))

    result = run("agents", "show", "scout")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "Error: There is no such agent.",
        "Hint:  docs/reference/problems.md explains not-found.",
    ]


def test_an_address_that_is_refused_is_told_how_to_allow_it(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(problem(422, "address-refused", "127.0.0.1 is refused: it is a private or special address."))

    assert "MEMROOS_OUTBOUND_ALLOW" in run("remote-agents", "add", "http://127.0.0.1:9000").stderr


def test_what_is_known_about_a_refusal_is_told(run: Run, kernel: ScriptedKernel) -> None:
    detail = "The item is at another version than you expected"
    kernel.answers(problem(409, "item-changed", detail, id="itm_1", version=3))

    result = run("memory", "update", "itm_1", "--text", "so", "--if-version", "2")

    assert result.stderr.splitlines()[1] == "Hint:  `memroos memory history` shows what changed. (id itm_1, version 3)"


def test_what_the_error_says_is_not_said_again(run: Run, kernel: ScriptedKernel) -> None:
    fields = {"query": "Expected `str` of length >= 1"}
    kernel.answers(problem(422, "invalid-request", "query: Expected `str` of length >= 1.", fields=fields))

    assert run("memory", "recall", "").stderr.splitlines() == ["Error: query: Expected `str` of length >= 1."]


def test_wrong_fields_are_named(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(problem(422, "invalid-request", "It does not fit.", fields={"name": "lower case only"}))

    assert "Hint:  name: lower case only" in run("agents", "create", "Scout").stderr


def test_a_refused_key_is_told_how_to_name_another(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(problem(401, "unauthenticated", "A valid key is needed."))

    assert "--key-file" in run("agents", "list").stderr


def test_a_stranger_at_the_address_is_noticed(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(Answer(200, b"<html>hello</html>"))

    result = run("agents", "list")

    assert result.exit_code == 1
    assert "Is it a kernel of this version" in result.stderr


def test_what_the_kernel_says_cannot_move_the_cursor(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(problem(409, "conflict", "\x1b[2J\nfaked"))

    assert "\x1b" not in run("agents", "show", "scout").stderr


# -- listings --------------------------------------------------------------------------------------------------------


def a_peer(name: str) -> dict[str, object]:
    return {"id": f"agt_{name}", "name": name, "title": "", "skills": [], "liveness": "live"}


def test_a_listing_says_when_there_is_more(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json({"items": [a_peer("a"), a_peer("b")], "next_cursor": "c"}))

    result = run("agents", "peers", "--limit", "1")

    assert "agt_a" in result.stdout
    assert "agt_b" not in result.stdout
    assert result.stderr == "There are more; --limit 2 shows them.\n"
    assert kernel.requests[0].target == "/api/agent-peers?limit=2"


def test_a_listing_may_be_longer_than_a_page(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(
        json({"items": [a_peer(f"a{i}") for i in range(100)], "next_cursor": "c"}),
        json({"items": [a_peer(f"b{i}") for i in range(50)], "next_cursor": None}),
    )

    found = msgspec.json.decode(run("agents", "peers", "--limit", "1000", "--json").stdout)

    assert len(found) == 150


def test_an_empty_listing_says_so_to_people_and_programs(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(EMPTY, EMPTY)

    assert run("agents", "peers").stdout == "No peers.\n"
    assert run("agents", "peers", "--json").stdout == "[]\n"


def test_colours_are_for_terminals_only(data_dir: Path, kernel: ScriptedKernel) -> None:
    environment = {"MEMROOS_DATA_DIR": str(data_dir), "MEMROOS_URL": kernel.url}
    kernel.answers(*[json({"items": [a_peer("a")], "next_cursor": None})] * 4)

    def printed(*options: str, **more: str) -> str:
        runner = CliRunner(env=environment | more)
        return runner.invoke(cli, [*options, "agents", "peers"], color=True).stdout

    assert "\x1b[32mlive" in printed()
    assert "\x1b" not in printed("--no-color")
    assert "\x1b" not in printed(NO_COLOR="1")
    assert "\x1b" in printed(NO_COLOR="")


def test_pairs_have_a_name_and_a_value() -> None:
    assert pairs(["a=1", "b=x=y", "c="], "--label") == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(click.UsageError, match="expected name=value"):
        pairs(["a"], "--label")
