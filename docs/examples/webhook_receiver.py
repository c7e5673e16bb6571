"""Receives notifications about tasks, checks who they are from, and prints what happened.

MEMROOS_URL=... python webhook_receiver.py PORT
"""

import base64
import json
import os
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE_S = 300
"""An older notification is refused, so that nobody can send a recorded one again later."""
LOOK_EVERY_S = 5.0
"""How often the kernel is asked for new keys at the most, whatever strangers send."""


class NotFromThere(Exception):
    """The notification is not from the kernel, or not from now."""


class NoSignatureFits(NotFromThere):
    """It is signed with none of the keys that we know."""


def fetch_keys(url: str) -> list[dict[str, str]]:
    """Return the keys that the kernel signs with. Keep them, and fetch them again when a signature fits none."""
    keys: list[dict[str, str]] = httpx.get(f"{url}/.well-known/jwks.json").raise_for_status().json()["keys"]
    return keys


def verify(headers: Mapping[str, str], body: bytes, keys: list[dict[str, str]], now: float) -> str:
    """Return a notification's id if it is signed with one of the keys (Standard Webhooks, v1a).

    Args:
        headers: the request's, names in lower case.
        body: the bytes as they came; JSON that was read and written again is no longer what was signed.
        now: the present time, in seconds since 1970.

    Raises:
        NotFromThere: it is not.
    """
    notification, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_S:
        raise NotFromThere("it is too old, or from the future")
    signed = f"{notification}.{timestamp}.".encode() + body
    for one in headers.get("webhook-signature", "").split():
        form, _, signature = one.partition(",")
        if form == "v1a" and any(_fits(key, signature, signed) for key in keys if key.get("crv") == "Ed25519"):
            return notification
    raise NoSignatureFits("no signature fits")


def _fits(key: dict[str, str], signature: str, signed: bytes) -> bool:
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=="))
    try:
        public.verify(base64.b64decode(signature), signed)
    except (InvalidSignature, ValueError):
        return False
    return True


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 once a notification is safe with us; anything else, or nothing, and it comes again."""

    keys: ClassVar[list[dict[str, str]]] = []
    look_again_at: ClassVar[float] = 0.0
    seen: ClassVar[set[str]] = set()
    """The ids that were dealt with; a receiver that keeps anything keeps these with it, in one transaction."""

    @classmethod
    def check(cls, headers: Mapping[str, str], body: bytes) -> str:
        """Return a notification's id; the kernel may have new keys since we looked."""
        try:
            return verify(headers, body, cls.keys, time.time())
        except NoSignatureFits:
            if time.monotonic() < cls.look_again_at:
                raise
        cls.look_again_at = time.monotonic() + LOOK_EVERY_S
        cls.keys = fetch_keys(os.environ["MEMROOS_URL"])
        return verify(headers, body, cls.keys, time.time())

    def do_POST(self) -> None:
        """Check, deal with what is new, and answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            notification = self.check(headers, body)
        except NotFromThere as error:
            self.send_error(401, str(error))
            return
        if notification not in self.seen:
            self.seen.add(notification)
            print(says(json.loads(body)), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Leave the output to the notifications."""


def says(notification: dict[str, Any]) -> str:
    """Return a line about what happened: a task, a status, an artifact or a message."""
    [(kind, what)] = notification.items()
    if kind == "artifactUpdate":
        return f"{what['taskId']} artifact {what['artifact']['artifactId']}"
    if kind == "message":
        return f"message {what['messageId']}"
    return f"{what.get('taskId') or what['id']} {what['status']['state']}"


if __name__ == "__main__":
    Receiver.keys = fetch_keys(os.environ["MEMROOS_URL"])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
