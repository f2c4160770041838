"""The difference between what a bucket is like and what it is to be like, as lines that people read.

Rules are compared as they work, not as they are written: servers sort lists, change the case of headers, add IDs
and defaults. Pure, as `wanted` is.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mediaplane.storage.bucket.found import Found
from mediaplane.storage.bucket.privacy import as_list, exposes
from mediaplane.storage.bucket.wanted import OURS, PUBLIC_READ_SID, Cannot, Rule, Wanted, Wish, hide_password

# In the order in which they are changed.
SETTINGS = (
    "bucket",
    "versioning",
    "encryption",
    "access logs",
    "cors",
    "lifecycle",
    "events",
    "policy",
    "acl",
    "public access",
)
_SINGLE = ("versioning", "encryption", "access logs", "public access")  # settings that are one value
_IDS = ("ID", "Id", "Sid")


@dataclass(frozen=True, slots=True)
class Change:
    """One line: `+` comes, `-` goes, `~` is changed, `!` is wrong and cannot be mended by the S3 API."""

    sign: str
    setting: str
    name: str
    what: str  # what it will be; of `-` what it is
    was: str  # of `~`
    why: str


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes that are due, and what could not be compared or cannot be done."""

    changes: tuple[Change, ...]
    unknown: Mapping[str, str]  # setting -> why it could not be read
    cannot: tuple[Cannot, ...]
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing is known to differ."""
        return not self.changes

    @property
    def mendable(self) -> bool:
        """Whether there is something that `apply` can do."""
        return any(change.sign != "!" for change in self.changes)


def compare(wanted: Wanted, found: Found, *, bucket: str) -> Difference:
    """Return what is to be changed."""
    changes: list[Change] = []
    if not found.exists:
        changes.append(Change("+", "bucket", "", f"{bucket} is made, private", "", "it does not exist"))
    for setting in SETTINGS[1:]:
        if setting not in found.unknown:
            changes += _compare_setting(setting, wanted, found.rules.get(setting, ()))
    if found.listed_by_anyone and not any(change.setting in ("policy", "acl") for change in changes):
        why = "no policy or ACL that we can read allows it: close it in the provider's console"
        changes.append(Change("!", "privacy", "", "anyone may list the bucket", "", why))
    return Difference(tuple(changes), found.unknown, wanted.cannot, tuple(_notes(wanted, found)))


def is_removable(setting: str, rule: Rule, *, public: bool) -> bool:
    """Return whether a rule that nobody wishes for is ours to remove: one of ours, or one that lets strangers in."""
    if setting == "acl":
        return True  # only grants to groups of strangers are looked at
    if setting == "policy":
        return rule.get("Sid") == PUBLIC_READ_SID or exposes(rule, public=public)
    return setting not in _SINGLE and rule_id(rule).startswith(OURS)


def rule_id(rule: Rule) -> str:
    """Return the ID of a rule, under whichever name its setting has it."""
    return next((str(rule[name]) for name in _IDS if rule.get(name)), "")


def same(setting: str, one: Rule, other: Rule) -> bool:
    """Return whether two rules do the same."""
    return _canonical(setting, one) == _canonical(setting, other)


def match(setting: str, wish: Wish, rules: tuple[Rule, ...]) -> Rule | None:
    """Return the rule that stands for the wish: by its ID, else, where a server keeps none, by what it does."""
    if setting in _SINGLE:
        return rules[0] if rules else None
    by_id = next((rule for rule in rules if rule_id(rule) == wish.name), None)
    return by_id or next((rule for rule in rules if not rule_id(rule) and same(setting, rule, wish.rule)), None)


def _compare_setting(setting: str, wanted: Wanted, rules: tuple[Rule, ...]) -> Iterator[Change]:
    wishes = wanted.of(setting)
    matched: list[Rule] = []
    for wish in wishes:
        rule = match(setting, wish, rules)
        if rule and setting == "public access":
            rule = {name: rule.get(name, False) for name in wish.rule}  # what is not wished for is left as it is
        what = describe(setting, wish.rule)
        if rule is None:
            if setting == "versioning" and wish.rule["Status"] == "Suspended":
                continue  # never switched on
            yield Change("+", setting, wish.name, what, "", wish.why)
        elif not same(setting, rule, wish.rule):
            matched.append(rule)
            was = describe(setting, rule)
            yield Change("~", setting, wish.name, what, was if was != what else _details(setting, rule), wish.why)
        else:
            matched.append(rule)
    for rule in rules:
        if not any(rule is one for one in matched) and is_removable(setting, rule, public=wanted.public):
            yield Change("-", setting, rule_id(rule), describe(setting, rule), "", _why_removed(setting, wanted.public))


def _why_removed(setting: str, public: bool) -> str:  # noqa: FBT001 -- a word of the sentence
    if setting in ("policy", "acl"):
        return "a public store is read by key, never listed" if public else "the store is private"
    return "the profile no longer wants it"


def _notes(wanted: Wanted, found: Found) -> Iterator[str]:
    if found.rules.get("versioning") == ({"Status": "Enabled"},) and not wanted.of("versioning"):
        yield "versioning is on and the profile does not say so: deleted bytes are kept, and paid for, as old versions"


def describe(setting: str, rule: Rule) -> str:
    """Return a rule as a sentence."""
    describer = _DESCRIBERS.get(setting)
    return describer(rule) if describer else _details(setting, rule)


def _describe_cors(rule: Rule) -> str:
    origins, methods = (", ".join(rule.get(name, [])) for name in ("AllowedOrigins", "AllowedMethods"))
    return f"pages of {origins} may {methods}"


def _describe_lifecycle(rule: Rule) -> str:
    prefix = _filter_of(rule).get("Prefix", "") or "everything"
    parts = []
    if days := rule.get("Expiration", {}).get("Days"):
        parts.append(f"{prefix} expires after {days} days")
    moves = rule.get("Transitions", [])
    parts += [f"{prefix} moves to {move.get('StorageClass')} after {move.get('Days')} days" for move in moves]
    if days := rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"):
        parts.append(f"unfinished uploads are aborted after {days} days")
    if days := rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"):
        parts.append(f"old versions go after {days} days")
    told = " and ".join(parts) or _details("lifecycle", rule)
    return told if rule.get("Status") == "Enabled" else f"{told}, switched off"


def _describe_events(rule: Rule) -> str:
    if rule.get("Kind") == "eventbridge":
        return "EventBridge is told of everything"
    what = ", ".join(rule.get("Events", []))
    return f"{hide_password(str(rule.get('Target')))} is told of {what} under {rule.get('Prefix') or 'everything'}"


def _describe_statement(rule: Rule) -> str:
    actions = ", ".join(as_list(rule.get("Action"))) or "everything but " + ", ".join(as_list(rule.get("NotAction")))
    return f"anyone may {actions} on {', '.join(as_list(rule.get('Resource')))}"


def _describe_block(rule: Rule) -> str:
    on = [name for name, value in sorted(rule.items()) if value]
    return f"blocked: {', '.join(on) or 'nothing'}"


_DESCRIBERS: Mapping[str, Any] = {
    "cors": _describe_cors,
    "lifecycle": _describe_lifecycle,
    "events": _describe_events,
    "policy": _describe_statement,
    "public access": _describe_block,
    "versioning": lambda rule: f"versioning is {rule['Status']}",
    "encryption": lambda rule: ":".join(
        str(rule[name]) for name in ("SSEAlgorithm", "KMSMasterKeyID") if rule.get(name)
    ),
    "access logs": lambda rule: f"requests are logged to {rule['TargetBucket']}/{rule['TargetPrefix']}",
    "acl": lambda rule: f"{rule['Grantee']} may {rule['Permission']}",
}


def _details(setting: str, rule: Rule) -> str:
    return json.dumps(_plain(setting, rule), sort_keys=True, default=str)


def _canonical(setting: str, rule: Rule) -> str:
    return json.dumps(_sorted(_plain(setting, rule)), sort_keys=True, default=str)


def _plain(setting: str, rule: Rule) -> dict[str, Any]:
    """Return the rule without its ID, in one of the spellings that mean the same."""
    plain = {name: value for name, value in rule.items() if name not in _IDS}
    if setting == "lifecycle":
        plain.pop("Prefix", None)
        plain["Filter"] = _filter_of(rule)
    if setting == "cors":
        for name in ("AllowedHeaders", "ExposeHeaders"):
            plain[name] = [str(header).lower() for header in plain.get(name, [])]
    if setting == "policy":
        plain["Action"] = [str(action).lower() for action in as_list(plain.get("Action"))]
        plain["Resource"] = as_list(plain.get("Resource"))
        principal = plain.get("Principal")
        if isinstance(principal, Mapping) and as_list(principal.get("AWS")) == ["*"]:
            plain["Principal"] = "*"
    if setting == "public access":
        return {name: bool(value) for name, value in plain.items()}
    cleaned = _without_empty(plain)
    assert isinstance(cleaned, dict)
    return cleaned


def _filter_of(rule: Rule) -> Mapping[str, Any]:
    """Return the filter of a lifecycle rule; of old its prefix stood beside it, and one condition needs no `And`."""
    found = rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}
    both = found.get("And")
    return both if isinstance(both, Mapping) else found


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        cleaned = {name: _without_empty(part) for name, part in value.items()}
        return {name: part for name, part in cleaned.items() if part not in (None, "", [], {})}
    if isinstance(value, list | tuple):
        return [_without_empty(part) for part in value]
    return value


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return sorted((_sorted(part) for part in value), key=lambda part: json.dumps(part, sort_keys=True, default=str))
    return value
