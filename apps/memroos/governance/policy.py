"""The policy set: Cedar files, checked before they take effect, then kept parsed.

Every policy has an `@id` (its stable name in decisions and receipts), may have a `@reason` (the sentence a caller
reads when it decides), and a permit may have `@effect("hold")` or `@effect("redact")`; `rules` says how they combine.
A policy of the operator's folder replaces the shipped one with the same id.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import cedarpy
import msgspec
import structlog

from memroos.governance import rules
from memroos.governance.errors import PolicyRefused
from memroos.governance.rules import Question, Verdict
from memroos_contracts.governance import Effect, PolicySetView, PolicyView
from memroos_contracts.identity import Role

SHIPPED = "shipped"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_STATEMENT = re.compile(r'(?:"(?:\\.|[^"\\])*"|//[^\n]*|[^;"/]|/(?!/))*;')  # a semicolon ends nothing but a policy
_EFFECTS = {"hold": Effect.HOLD, "redact": Effect.REDACT}
_ANNOTATIONS = {"id", "effect", "reason"}
_TYPES = {
    Role.OPERATOR: "Operator",
    Role.AUDITOR: "Auditor",
    Role.VIEWER: "Viewer",
    Role.AGENT: "Agent",
    Role.SERVICE: "Service",
}
_ANYBODY = "any"  # policies see classes of callers; only services have names

_log = structlog.get_logger(__name__)


class Policy:
    """A policy set in effect. Immutable; safe to use from several threads.

    Args:
        texts: the Cedar text of each file, by its name.
        overrides: the same for the operator's files; a policy in them replaces the one in `texts` with the same id.

    Raises:
        PolicyRefused: the set has mistakes; its facts name all that were found.
    """

    def __init__(self, texts: dict[str, str], overrides: dict[str, str] | None = None) -> None:
        found = _Found()
        shipped = found.read(texts, origin=lambda _: SHIPPED)
        own = found.read(overrides or {}, origin=lambda name: name)
        self._policies: dict[str, _Loaded] = dict(sorted({**shipped, **own}.items()))
        found.check(self._policies.values())
        if found.problems:
            raise PolicyRefused(
                "The policy set cannot take effect: " + "; ".join(found.problems), problems=found.problems
            )
        canonical = {loaded.view.id: loaded.est for loaded in self._policies.values()}
        self.hash = hashlib.sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()
        self._sees_purpose = any("purpose" in json.dumps(_body(loaded.est)) for loaded in self._policies.values())
        self._slices: dict[tuple[str, str], cedarpy.PolicySet] = {}

    @classmethod
    def load(cls, folder: Path | None = None) -> "Policy":
        """Read the shipped policies and those of the operator's folder, if there is one.

        Raises:
            PolicyRefused: the set has mistakes, or the folder cannot be read.
        """
        return cls(shipped_texts(), _folder_texts(folder) if folder else None)

    @property
    def view(self) -> PolicySetView:
        """The policies in effect, by id."""
        return PolicySetView(hash=self.hash, policies=[loaded.view for loaded in self._policies.values()])

    def key(self, question: Question) -> Question:
        """Return the part of a question that can make a difference: without the purpose, if no policy looks at it."""
        return question if self._sees_purpose or not question.purpose else question._replace(purpose="")

    def evaluate(self, question: Question) -> Verdict:
        """Answer a question: deny where nothing permits, where something forbids, and where a policy fails."""
        if not rules.scopes_allow(question.scopes, question.action):
            return Verdict(Effect.DENY, (), "The key's scopes do not cover it.")
        answer = _ask(self._slice(_TYPES[Role(question.role)], question.action), question)
        ids = tuple(sorted(answer.diagnostics.reasons))
        if answer.diagnostics.errors:
            _log.error("policy failed", action=question.action, errors=answer.diagnostics.errors)
            return Verdict(Effect.DENY, ids, "A policy failed, so nothing is permitted. The log says which.")
        if not answer.allowed:
            return Verdict(Effect.DENY, ids, self._reason(ids) or "No policy permits it.")
        effect = rules.decide_effect(self._policies[name].effect for name in ids)
        # Only those that made it what it is: a plain permit beside a hold explains nothing.
        ids = tuple(name for name in ids if self._policies[name].effect is effect)
        return Verdict(effect, ids, self._reason(ids))

    def _reason(self, ids: Iterable[str]) -> str:
        return next((r for name in ids if (r := self._policies[name].view.reason)), "")

    def _slice(self, principal: str, action: str) -> cedarpy.PolicySet:
        """Return the policies whose scope fits; the others cannot take part, and most do not fit."""
        key = (principal, action)
        found = self._slices.get(key)
        if found is None:
            fitting = [p for p in self._policies.values() if _fits(p.est, principal, action)]
            found = self._slices[key] = cedarpy.PolicySet.from_json_str(_policy_set(fitting))
        return found


class _Loaded(msgspec.Struct, frozen=True):
    """One policy: what people see, what it does, and its syntax tree (Cedar's JSON policy format)."""

    view: PolicyView
    effect: Effect
    est: dict[str, Any]


class _Found:
    """Reads policies and collects what is wrong with them, so that an author sees all mistakes at once."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, texts: dict[str, str], *, origin: Any) -> dict[str, _Loaded]:
        """Return the policies of some files by id."""
        policies: dict[str, _Loaded] = {}
        for name, text in sorted(texts.items()):
            for loaded in self._read_file(name, text, origin(name)):
                if loaded.view.id in policies:
                    self.problems.append(f"{name}: two policies have the id {loaded.view.id}")
                policies[loaded.view.id] = loaded
        return policies

    def check(self, policies: Iterable[_Loaded]) -> None:
        """Validate the set against the schema."""
        text = "\n".join(loaded.view.text for loaded in policies)
        result = cedarpy.validate_policies(text, schema())
        names = result.id_annotations_by_policy_id
        for error in result.errors:
            name = names.get(error.policy_id, error.policy_id)
            self.problems.append(f"{name}: {error.error.replace(f'`{error.policy_id}`', f'`{name}`')}")

    def _read_file(self, name: str, text: str, origin: str) -> list[_Loaded]:
        try:
            parsed = json.loads(cedarpy.policies_to_json_str(text))
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return []
        if parsed["templates"] or parsed["templateLinks"]:
            self.problems.append(f"{name}: templates have no use here, as policies never see ids")
            return []
        found = [
            self._read_policy(name, parsed["staticPolicies"][f"policy{n}"], statement, origin)
            for n, statement in enumerate(_statements(text))
        ]
        return [loaded for loaded in found if loaded is not None]

    def _read_policy(self, name: str, est: dict[str, Any], text: str, origin: str) -> _Loaded | None:
        annotations: dict[str, str | None] = est.get("annotations", {})
        policy_id = annotations.get("id") or ""
        before = len(self.problems)
        if not _ID.fullmatch(policy_id):
            self.problems.append(f"{name}: every policy needs an @id of lower-case letters, digits and hyphens")
        for unknown in sorted(set(annotations) - _ANNOTATIONS):
            self.problems.append(f"{name}: {policy_id}: unknown annotation @{unknown}")
        special = annotations.get("effect")
        if "effect" in annotations and (special not in _EFFECTS or est["effect"] != "permit"):
            self.problems.append(f'{name}: {policy_id}: only a permit may have @effect("hold") or @effect("redact")')
        if len(self.problems) > before:
            return None
        effect = Effect.DENY if est["effect"] == "forbid" else _EFFECTS.get(special or "", Effect.ALLOW)
        view = PolicyView(
            id=policy_id,
            effect=f"permit with {special}" if special else est["effect"],
            reason=annotations.get("reason") or "",
            origin=origin,
            text=text,
        )
        return _Loaded(view=view, effect=effect, est=est)


def shipped_texts() -> dict[str, str]:
    """Return the policies that come with the product, by file name."""
    folder = resources.files(__package__) / "policies"
    return {item.name: item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".cedar")}


def schema() -> cedarpy.Schema:
    """Return the words policies may use."""
    return cedarpy.Schema.from_str((resources.files(__package__) / "schema.cedarschema").read_text("utf-8"))


def _folder_texts(folder: Path) -> dict[str, str]:
    try:
        return {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir()) if path.suffix == ".cedar"}
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{folder.name}: {error}"
        raise PolicyRefused(f"The policy folder cannot be read: {problem}", problems=[problem]) from error


def _body(est: dict[str, Any]) -> dict[str, Any]:
    return {part: value for part, value in est.items() if part != "annotations"}


def _policy_set(policies: Iterable[_Loaded]) -> str:
    static = {loaded.view.id: loaded.est for loaded in policies}
    return json.dumps({"staticPolicies": static, "templates": {}, "templateLinks": []})


def _statements(text: str) -> list[str]:
    """Return the policies of a file as they were written, with the comments before them."""
    return [found.strip() for found in _STATEMENT.findall(text)]


def _fits(est: dict[str, Any], principal: str, action: str) -> bool:
    """Say whether a policy's scope can match. A scope of a form that is not known here counts as fitting."""
    who, what = est["principal"], est["action"]
    if who["op"] == "is" and who["entity_type"] != principal:
        return False
    if who["op"] == "==" and who.get("entity", {}).get("type", principal) != principal:
        return False
    entities = what.get("entities") or ([what["entity"]] if "entity" in what else [])
    named = {entity["id"] for entity in entities}
    return not named or action in named or not named <= rules.KERNEL_ACTIONS


def _ask(policies: cedarpy.PolicySet, question: Question) -> cedarpy.AuthzResult:
    principal = {"type": _TYPES[Role(question.role)], "id": question.service or _ANYBODY}
    resource = {"type": "Asset", "id": _ANYBODY}
    entities = [
        {"uid": principal, "attrs": {"scopes": sorted(question.scopes)}, "parents": []},
        {
            "uid": resource,
            "attrs": {
                "kind": question.kind,
                "is_own": question.is_own,
                "is_assigned": question.is_assigned,
                "same_workspace": question.same_workspace,
                "state": question.state,
                "sensitivity": question.sensitivity,
                "tags": sorted(question.tags),
            },
            "parents": [],
        },
    ]
    context: dict[str, Any] = {"purpose": question.purpose}
    if question.own_action is not None:
        context |= {
            "tool": question.own_action.tool,
            "action": question.own_action.action,
            "seen_sensitivity": question.sensitivity,
            "seen_tags": sorted(question.tags),
        }
    request = {
        "principal": principal,
        "action": {"type": "Action", "id": question.action},
        "resource": resource,
        "context": context,
    }
    return cedarpy.is_authorized(request, policies, msgspec.json.encode(entities).decode())
