import pickle
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from memroos_kit.settings import Secret, SettingsError, field_docs, load, render_reference


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some settings."""

    port: Annotated[int, Meta(ge=1, le=65_535)] = 7700
    """The port."""

    level: Literal["debug", "info"] = "info"
    """The level."""

    colour: bool = True
    """Whether there is colour."""

    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """A share."""

    home: Path = Path("data")
    """A directory."""

    hosts: tuple[str, ...] = ()
    """Some hosts."""

    key: Secret | None = None
    """A key.

    In two paragraphs.
    """

    def __post_init__(self) -> None:
        if self.port == 13:
            raise ValueError("MEMROOS_PORT: not 13")


class Neighbour(msgspec.Struct, frozen=True):
    model: str = ""
    """The neighbour's model."""

    token: Secret | None = None
    """The neighbour's secret."""


def load_sample(file: Path | None = None, /, **environ: str) -> Sample:
    return load(Sample, environ={f"MEMROOS_{name}": value for name, value in environ.items()}, file=file)


def test_nothing_set_means_the_defaults() -> None:
    assert load_sample() == Sample()


def test_every_kind_of_value_is_read_from_the_environment() -> None:
    found = load_sample(
        PORT="1",
        LEVEL="debug",
        COLOUR="false",
        SHARE="0.25",
        HOME="/srv",
        HOSTS="a.example, 10.0.0.0/8,,",
        KEY="s3cret",
    )

    assert found == Sample(
        port=1,
        level="debug",
        colour=False,
        share=0.25,
        home=Path("/srv"),
        hosts=("a.example", "10.0.0.0/8"),
        key=Secret("s3cret"),
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "memroos.toml"
    file.write_text('port = 1\nlevel = "debug"\nhosts = ["a", "b"]\n')

    found = load_sample(file, PORT="2")

    assert (found.port, found.level, found.hosts) == (2, "debug", ("a", "b"))


def test_a_missing_file_is_no_file(tmp_path: Path) -> None:
    assert load_sample(tmp_path / "memroos.toml") == Sample()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "70000", "MEMROOS_PORT: '70000' is not allowed; it must be a whole number from 1 to 65535"),
        ("PORT", "", "it must be a whole number"),
        ("PORT", "1.5", "it must be a whole number"),
        ("LEVEL", "loud", "MEMROOS_LEVEL: 'loud' is not allowed; it must be one of debug, info"),
        ("COLOUR", "perhaps", "MEMROOS_COLOUR: 'perhaps' is not allowed; it must be true or false"),
        ("SHARE", "2", "it must be a number from 0 to 1"),
        ("SHARE", "nan", "it must be a number from 0 to 1"),
        ("HOME", "", "it must be a path"),
        ("PORTS", "1", "MEMROOS_PORTS: there is no such setting; did you mean MEMROOS_PORT?"),
        ("ZZZZZZ", "1", "MEMROOS_ZZZZZZ: there is no such setting"),
        ("port", "1", "MEMROOS_port: settings are written in upper case: MEMROOS_PORT"),
        ("PORT", "13", "MEMROOS_PORT: not 13"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_sample(**{name: value})

    assert says in str(refused.value)


def test_all_mistakes_are_shown_at_once(tmp_path: Path) -> None:
    file = tmp_path / "memroos.toml"
    file.write_text('level = "loud"\ncolor = true\nport = "x"\n')

    with pytest.raises(SettingsError) as refused:
        load_sample(file, SHARE="much")

    assert len(refused.value.problems) == 4
    assert f"level in {file}: 'loud' is not allowed" in str(refused.value)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "memroos.toml"
    file.write_text("port = = 1")

    with pytest.raises(SettingsError, match="not a readable TOML file"):
        load_sample(file)


def test_names_for_tests_and_of_other_programs_are_ignored() -> None:
    assert load(Sample, environ={"MEMROOS_TEST_SLOW": "1", "PATH": "/bin"}, file=None) == Sample()


def test_settings_of_a_process_that_shares_the_environment_are_skipped() -> None:
    environ = {"MEMROOS_MODEL": "small", "MEMROOS_TOKEN": "x", "MEMROOS_TOKEN_FILE": "/nowhere"}

    assert load(Sample, environ=environ, file=None, others=(Neighbour,)) == Sample()
    with pytest.raises(SettingsError, match="MEMROOS_MODEL"):
        load(Sample, environ=environ, file=None)


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")

    assert load_sample(KEY_FILE=str(tmp_path / "key")).key == Secret("s3cret")


def test_an_unreadable_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"MEMROOS_KEY_FILE: the file .*nothing' cannot be read: No such file"):
        load_sample(KEY_FILE=str(tmp_path / "nothing"))


def test_an_empty_secret_file_gives_no_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")

    assert load_sample(KEY_FILE=str(tmp_path / "key")).key is None


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give only one of them"):
        load_sample(KEY="a", KEY_FILE=str(tmp_path))


def test_a_secret_in_the_shared_file_is_refused_without_printing_it(tmp_path: Path) -> None:
    file = tmp_path / "memroos.toml"
    file.write_text('key = "s3cret"')

    with pytest.raises(SettingsError, match="a secret does not belong here; set MEMROOS_KEY or MEMROOS_KEY_FILE") as no:
        load_sample(file)

    assert "s3cret" not in str(no.value)


def test_only_secrets_have_a_file_variant(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MEMROOS_PORT_FILE: there is no such setting"):
        load_sample(PORT_FILE=str(tmp_path))


@given(st.text(alphabet="abcXYZ0123456789", min_size=6))
def test_a_secret_never_prints(value: str) -> None:
    secret = Secret(value)

    for shown in (str(secret), repr(secret), f"{secret}", f"{secret:>80}", repr([secret]), repr(Sample(key=secret))):
        assert value not in shown
    assert secret.reveal() == value


def test_a_secret_cannot_be_pickled_or_sent() -> None:
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps(Secret("s3cret"))
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret("s3cret"))


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))


def test_the_docstring_under_a_field_is_found() -> None:
    docs = field_docs(Sample)

    assert docs["port"] == "The port."
    assert docs["key"] == "A key.\n\nIn two paragraphs."


def test_the_reference_page_says_name_values_default_and_meaning() -> None:
    page = render_reference(Sample, title="The sample")

    assert page.startswith("# The sample\n")
    assert "## `MEMROOS_PORT`\n\nA whole number from 1 to 65535. Default: `7700`.\n\nThe port.\n" in page
    assert "## `MEMROOS_KEY`\n\nText, or empty. Default: empty. Secret.\n\nA key.\n" in page
    assert "## `MEMROOS_COLOUR`\n\nTrue or false. Default: `true`." in page
    assert "A list, separated by commas. Default: empty." in page


def test_a_setting_without_a_docstring_breaks_the_page() -> None:
    class Silent(msgspec.Struct, frozen=True):
        port: int = 1

    with pytest.raises(KeyError):
        render_reference(Silent)
