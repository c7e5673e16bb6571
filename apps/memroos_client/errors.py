"""What can go wrong for a caller of the kernel."""

from typing import Any


class ClientError(Exception):
    """A request did not bring what it was for."""


class ProblemError(ClientError):
    """The kernel answered with a problem (RFC 9457).

    Attributes:
        slug: which kind of problem, such as `not-found`; empty where the answer named none.
        title: the same for every case of it.
        status: the HTTP status.
        detail: the sentence for this case; also `str(error)`.
        facts: the problem's further members.
        retry_after_s: when a repeat makes sense.
    """

    def __init__(
        self,
        *,
        slug: str,
        title: str,
        status: int,
        detail: str,
        facts: dict[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail or title or f"The kernel answered with status {status}.")
        self.slug = slug
        self.title = title
        self.status = status
        self.detail = detail
        self.facts = facts or {}
        self.retry_after_s = retry_after_s


class Unreachable(ClientError):
    """No answer came: nobody listens there, or the connection broke.

    Whether the request was carried out is not known; reads and creations were repeated before this is raised.

    Attributes:
        url: where the kernel was looked for.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"The kernel at {url} cannot be reached: {reason}.")
        self.url = url


class UnexpectedAnswer(ClientError):
    """Something answered that does not speak as the kernel of this version does."""
