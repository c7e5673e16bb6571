import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos_kit.sealing import SealBroken, Sealer, SealingKeyInvalid

SEALER = Sealer(bytes(range(32)))


@given(st.text(max_size=200), st.text(max_size=60))
def test_what_was_sealed_opens_again(plain: str, bound_to: str) -> None:
    assert SEALER.open(SEALER.seal(plain, bound_to=bound_to), bound_to=bound_to) == plain


def test_a_secret_does_not_open_in_the_place_of_another() -> None:
    sealed = SEALER.seal("token", bound_to="agt_a")

    with pytest.raises(SealBroken):
        SEALER.open(sealed, bound_to="agt_b")


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealBroken):
        Sealer(bytes(32)).open(SEALER.seal("token", bound_to="a"), bound_to="a")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(at: int, change: int) -> None:
    sealed = bytearray(SEALER.seal("token", bound_to="a"))
    sealed[at % len(sealed)] ^= change

    with pytest.raises(SealBroken):
        SEALER.open(bytes(sealed), bound_to="a")


@pytest.mark.parametrize("cut", [b"", b"\x01", b"\x01" + bytes(5), b"\x02" + bytes(40)])
def test_what_is_no_sealed_secret_is_refused(cut: bytes) -> None:
    with pytest.raises(SealBroken):
        SEALER.open(cut, bound_to="a")


def test_the_same_secret_never_looks_the_same_and_never_shows() -> None:
    one, other = (SEALER.seal("hunter2", bound_to="a") for _ in range(2))

    assert one != other
    assert b"hunter2" not in one


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    sealed = Sealer.ensure(path).seal("token", bound_to="a")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Sealer.ensure(path).open(sealed, bound_to="a") == "token"


def test_a_start_that_ends_while_it_writes_the_key_file_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed there, the next start would find half a key and refuse to go on."""
    path = tmp_path / "secrets.key"
    seen: list[bool] = []

    def ends(_: int) -> None:
        seen.append(path.exists())
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", ends)
    with pytest.raises(KeyboardInterrupt):
        Sealer.ensure(path)

    assert seen == [False]
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_another_start_has_made_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secrets.key"
    other = base64.b64encode(bytes(32)).decode()
    monkeypatch.setattr("os.fsync", lambda _: path.write_text(other))

    sealed = Sealer.ensure(path).seal("token", bound_to="a")

    assert Sealer(bytes(32)).open(sealed, bound_to="a") == "token"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "AAAA", "not base 64!", "é"])
def test_a_key_file_with_something_else_stops_the_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secrets.key"
    path.write_text(content, "utf-8")

    with pytest.raises(SealingKeyInvalid, match=r"secrets\.key"):
        Sealer.ensure(path)
    assert path.read_text("utf-8") == content
