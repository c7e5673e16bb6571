"""Signed heads are C2SP notes: others can read ours, and we read theirs."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos.audit.rules.note import (
    Checkpoint,
    NoteInvalid,
    Signer,
    Verifier,
    checkpoint_text,
    find_notes,
    read_checkpoint,
)

FOREIGN_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOREIGN_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
CHECKPOINT = Checkpoint("memroos/test", 3, bytes(range(32)))


@pytest.fixture
def note(signer: Signer) -> str:
    return signer.sign(checkpoint_text(CHECKPOINT))


def test_a_note_of_another_implementation_is_verified() -> None:
    verifier = Verifier.parse(FOREIGN_KEY)

    assert verifier.open(FOREIGN_NOTE) == "This is an example message.\n"
    assert str(verifier) == FOREIGN_KEY


def test_a_changed_text_is_refused() -> None:
    with pytest.raises(NoteInvalid, match="signature is wrong"):
        Verifier.parse(FOREIGN_KEY).open(FOREIGN_NOTE.replace("example message", "forged message"))


def test_a_head_is_three_lines_and_a_signature(note: str, signer: Signer) -> None:
    origin, size, root, empty, signature, end = note.split("\n")

    assert (origin, size, empty, end) == ("memroos/test", "3", "", "")
    assert base64.b64decode(root) == bytes(range(32))
    assert signature.startswith("— memroos/test ")
    assert base64.b64decode(signature.rpartition(" ")[2])[:4] == signer.verifier.key_id


def test_a_head_says_what_was_signed(note: str, signer: Signer) -> None:
    assert read_checkpoint(signer.verifier.open(note)) == CHECKPOINT


def test_signatures_of_others_are_passed_over(note: str, signer: Signer) -> None:
    stranger = Signer("example.com/witness", bytes(31) + b"\x01")
    same_name = Signer(signer.verifier.name, bytes(31) + b"\x01")
    lines = "".join(other.sign("x\n").partition("\n\n")[2] for other in (stranger, same_name))
    text, _, ours = note.partition("\n\n")

    assert signer.verifier.open(f"{text}\n\n{lines}{ours}") == checkpoint_text(CHECKPOINT)


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.rstrip("\n"),
        lambda note: note.partition("\n\n")[0] + "\n\n",
        lambda note: note.partition("\n\n")[0] + "\n",
        lambda note: note.replace("— ", "- "),
        lambda note: note.replace("— memroos/test", "— memroos/else"),
        lambda note: note[:-8] + "!" + note[-7:],
        lambda note: note.replace("\n3\n", "\n4\n"),
        lambda note: note[:0],
    ],
)
def test_a_note_that_is_not_ours_is_refused(change: object, note: str, signer: Signer) -> None:
    with pytest.raises(NoteInvalid):
        signer.verifier.open(change(note))  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "memroos/test\n3\n",
        "memroos/test\n03\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "memroos/test\n-3\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "\n3\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "memroos/test\n3\nAAEC\n",
        "memroos/test\n3\nno base64\n",
        "memroos/test\n3\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nmore\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        read_checkpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm",
        "example.com/foo+530d903a+????",
        "two words+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        Verifier.parse(text)


@given(st.binary(min_size=32, max_size=32))
def test_keys_survive_their_text_form(seed: bytes) -> None:
    signer = Signer("memroos/test", seed)

    again = Signer.parse(f"{signer.secret()}\n")

    assert again.sign("text\n") == signer.sign("text\n")
    assert str(Verifier.parse(str(signer.verifier))) == str(again.verifier)


@pytest.mark.parametrize("change", ["PUBLIC+KEY", "", "PRIVATE+KEY+x", "PRIVATE+KEY+memroos/test+00000000+AAAA"])
def test_a_text_that_is_no_secret_key_is_refused(change: str) -> None:
    with pytest.raises(NoteInvalid):
        Signer.parse(change)


def test_a_secret_key_with_another_id_is_refused(signer: Signer) -> None:
    key_id = signer.verifier.key_id.hex()

    with pytest.raises(NoteInvalid, match="does not belong"):
        Signer.parse(signer.secret().replace(key_id, "00000000"))


def test_a_signer_does_not_print_its_secret(signer: Signer) -> None:
    assert signer.secret().rpartition("+")[2] not in f"{signer!r} {signer} {signer.verifier}"


def test_two_new_keys_differ() -> None:
    assert Signer.generate("memroos/test").secret() != Signer.generate("memroos/test").secret()


@given(st.integers(0, 200))
def test_notes_are_found_behind_a_torn_write(torn: int) -> None:
    signer = Signer("memroos/test", bytes(32))
    notes = [signer.sign(checkpoint_text(Checkpoint("memroos/test", n, bytes(32)))) for n in (9, 10, 11)]
    content = f"\n{notes[0]}\n{notes[1][: min(torn, len(notes[1]) - 1)]}\n{notes[2]}"

    assert find_notes(content) == [notes[0], notes[2]]


def test_notes_with_more_than_one_signature_are_found(note: str) -> None:
    witnessed = note + Signer("example.com/witness", bytes(31) + b"\x01").sign("x\n").partition("\n\n")[2]

    assert find_notes(f"\n{note}\n{witnessed}") == [note, witnessed]
