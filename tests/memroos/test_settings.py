from pathlib import Path

import msgspec
import pytest

from memroos.settings import Settings
from memroos_kit.settings import Secret, SettingsError, field_docs, load, render_reference

KEY = "a-key-of-at-least-32-characters-long"


def load_kernel(**environ: str) -> Settings:
    return load(Settings, environ={f"MEMROOS_{name}": value for name, value in environ.items()}, file=None)


def test_the_defaults_are_safe_for_a_laptop() -> None:
    found = load_kernel()

    assert found.listens_on_loopback
    assert found.base_url == "http://127.0.0.1:7700"
    assert found.operator_key_path == Path("data/operator.key")
    assert found.outbound_allow == ()


def test_every_default_is_a_value_that_would_be_accepted() -> None:
    plain = msgspec.to_builtins(Settings(), enc_hook=str)

    assert msgspec.convert(plain, Settings, dec_hook=lambda wanted, raw: wanted(raw)) == Settings()


def test_every_setting_is_explained() -> None:
    assert set(field_docs(Settings)) == set(Settings.__struct_fields__)
    assert "## `MEMROOS_OPERATOR_API_KEY`" in render_reference(Settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "agents.example"])
def test_an_address_beyond_loopback_needs_an_operator_key(host: str) -> None:
    with pytest.raises(SettingsError, match="MEMROOS_HOST"):
        load_kernel(HOST=host)

    assert load_kernel(HOST=host, OPERATOR_API_KEY=KEY).host == host
    assert load_kernel(HOST=host, OPERATOR_API_KEY_FILE="/run/key").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_operator_key(host: str) -> None:
    assert load_kernel(HOST=host).listens_on_loopback


@pytest.mark.parametrize("key", ["admin", "x" * 31, "a key with spaces in it, and long enough"])
def test_a_weak_operator_key_is_refused_without_printing_it(key: str) -> None:
    with pytest.raises(SettingsError, match="at least 32 characters") as refused:
        load_kernel(OPERATOR_API_KEY=key)

    assert key not in str(refused.value)


def test_the_operator_key_file_is_a_path_that_need_not_exist_yet() -> None:
    found = load_kernel(OPERATOR_API_KEY_FILE="/run/not-yet")

    assert found.operator_key_path == Path("/run/not-yet")
    assert found.operator_api_key is None


def test_a_default_lease_longer_than_the_longest_is_refused() -> None:
    with pytest.raises(SettingsError, match="MEMROOS_LEASE_DEFAULT_S"):
        load_kernel(LEASE_DEFAULT_S="600", LEASE_MAX_S="60")


def test_an_allow_list_that_says_nothing_clear_is_refused() -> None:
    assert load_kernel(OUTBOUND_ALLOW="*.ts.net, 100.64.0.0/10").outbound_allow == ("*.ts.net", "100.64.0.0/10")
    with pytest.raises(SettingsError, match=r"MEMROOS_OUTBOUND_ALLOW: '10.0.0.1/8' in the allow-list"):
        load_kernel(OUTBOUND_ALLOW="10.0.0.1/8")


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://u:p@x", "https://x?q", "agents.example"])
def test_a_public_url_that_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="MEMROOS_PUBLIC_URL"):
        load_kernel(PUBLIC_URL=url)


def test_the_public_url_is_what_links_carry() -> None:
    assert load_kernel(PUBLIC_URL="https://agents.example/os/").base_url == "https://agents.example/os"
    assert load_kernel(HOST="::1", PORT="1").base_url == "http://[::1]:1"


def test_the_operator_key_does_not_print() -> None:
    assert KEY not in repr(Settings(operator_api_key=Secret(KEY)))
