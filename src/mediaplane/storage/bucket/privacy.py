"""What a bucket policy and an ACL let strangers do."""

from collections.abc import Mapping, Sequence
from typing import Any

# A condition on one of these names who may come, so the statement is not public.
# Source: Amazon S3 User Guide, "The meaning of public".
_NARROWING = (
    "aws:sourceip", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount",
    "aws:principalorgid", "aws:principalorgpaths", "aws:principalarn", "aws:principalaccount", "aws:userid",
    "aws:calledviafirst", "s3:dataaccesspointarn", "s3:dataaccesspointaccount",
)  # fmt: skip
# Only these let a stranger see objects one by one, which is what a public store is for.
_READING = ("s3:getobject", "s3:getobjectversion", "s3:getobjecttagging", "s3:getobjectattributes")
_GROUPS = {
    "http://acs.amazonaws.com/groups/global/AllUsers": "AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": "AuthenticatedUsers",
}


def exposes(statement: Mapping[str, Any], *, public: bool) -> bool:
    """Return whether a policy statement lets anyone do what the store does not allow to anyone.

    On a private store that is anything; on a public one anything but reading objects, so never listing.
    """
    if statement.get("Effect") != "Allow" or not _is_for_anyone(statement) or _is_narrowed(statement):
        return False
    if not public or "NotAction" in statement:
        return True
    return any(action.lower() not in _READING for action in as_list(statement.get("Action")))


def group_of(grant: Mapping[str, Any]) -> str:
    """Return the group of strangers an ACL grant is for, or nothing where it is for an account."""
    return _GROUPS.get(grant.get("Grantee", {}).get("URI", ""), "")


def as_list(value: Any) -> list[Any]:
    """Return what a policy may write as one value or as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _is_for_anyone(statement: Mapping[str, Any]) -> bool:
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    named = list(principal.values()) if isinstance(principal, Mapping) else [principal]
    return any(name == "*" for value in named for name in as_list(value))


def _is_narrowed(statement: Mapping[str, Any]) -> bool:
    """Return whether a condition admits only named callers: an equality with values that have no wildcard of all."""
    for operator, tests in (statement.get("Condition") or {}).items():
        negated = "Not" in operator or operator.endswith("IfExists") or operator == "Null"
        for key, values in tests.items():
            told = [str(value) for value in as_list(values)]
            if key.lower() in _NARROWING and not negated and told and not {"*", "0.0.0.0/0", "::/0"} & set(told):
                return True
    return False
