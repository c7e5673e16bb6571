"""Reading traces: what counts as synced before an answer, and what does not."""

from tests.crash.syscalls import Acknowledgement, acknowledgements

REQUEST = r'7 read(12<TCP:[a]>, "POST /api/agent-context HTTP/1.1\r\n"..., 262144) = 400'
ANSWER = r'7 write(12<TCP:[a]>, "HTTP/1.1 201 Created\r\n"..., 300) = 300'
WRITE = r'9 pwrite64(5</data/conversations.db-wal>, "\0\0"..., 4096, 32) = 4096'
SYNC = "9 fdatasync(5</data/conversations.db-wal>) = 0"
SYNC_BEGINS = "9 fdatasync(5</data/conversations.db-wal> <unfinished ...>"
SYNC_ENDS = "9 <... fdatasync resumed>) = 0"
OTHER_SYNC = "9 fdatasync(6</data/conversations.db>) = 0"


def told(*lines: str) -> list[Acknowledgement]:
    return acknowledgements(lines, path="/api/agent-context", status=201)


def test_a_sync_between_write_and_answer_counts() -> None:
    assert told(REQUEST, WRITE, SYNC, ANSWER) == [Acknowledgement(1, synced=True)]


def test_a_sync_that_was_interrupted_counts_from_its_beginning_to_its_end() -> None:
    assert told(REQUEST, WRITE, SYNC_BEGINS, SYNC_ENDS, ANSWER) == [Acknowledgement(1, synced=True)]


def test_an_answer_that_leaves_while_the_sync_runs_is_not_covered() -> None:
    assert told(REQUEST, WRITE, SYNC_BEGINS, ANSWER, SYNC_ENDS) == [Acknowledgement(1, synced=False)]


def test_a_sync_before_the_write_does_not_count() -> None:
    assert told(REQUEST, SYNC, WRITE, ANSWER) == [Acknowledgement(1, synced=False)]


def test_a_sync_that_began_before_the_write_does_not_count() -> None:
    assert told(REQUEST, SYNC_BEGINS, WRITE, SYNC_ENDS, ANSWER) == [Acknowledgement(1, synced=False)]


def test_a_sync_of_another_file_does_not_count() -> None:
    assert told(REQUEST, WRITE, OTHER_SYNC, ANSWER) == [Acknowledgement(1, synced=False)]


def test_requests_of_two_connections_are_told_apart() -> None:
    second = [line.replace("12<TCP:[a]>", "13<TCP:[b]>") for line in (REQUEST, ANSWER)]

    assert told(REQUEST, WRITE, SYNC, second[0], ANSWER, second[1]) == [
        Acknowledgement(1, synced=True),
        Acknowledgement(0, synced=False),
    ]
