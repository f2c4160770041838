"""JSON Web Tokens of an identity provider (Supabase, Auth0, Keycloak, …): checked, and read as a principal.

What a token says of itself is never believed about how to check it: algorithms, issuer and audience are settings, and
keys come from the secret or the key URL, not from its header.
"""

import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt

from mediaplane.access.jwks import KeySet
from mediaplane.access.principals import Principal, Role
from mediaplane.errors import CredentialsInvalid, SettingInvalid
from mediaplane.settings import Settings

MAX_TOKEN_CHARS = 8192  # what one header line of common servers holds
MIN_SECRET_BYTES = 32  # Source: RFC 7518, section 3.2
SHARED = ("HS256", "HS384", "HS512")
PUBLISHED = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """Which claim says what; a name is looked up as it is, then as a path with dots."""

    owner: str
    team: str
    role: str
    scope: str
    tier: str
    roles: Mapping[str, Role]
    default_role: Role | None


@dataclass(frozen=True, slots=True)
class TokenRules:
    """How tokens are checked."""

    algorithms: tuple[str, ...]
    issuer: str
    audience: str
    skew_seconds: int
    claims: ClaimRules


class TokenReader:
    """Checks tokens against a shared secret or the issuer's published keys."""

    def __init__(self, rules: TokenRules, keys: str | KeySet, *, now: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._keys = keys
        self._now = now

    async def read(self, token: str) -> tuple[Principal, float]:
        """Return whose token it is, and the time (UNIX seconds) until which it may be believed.

        Raises:
            CredentialsInvalid: it is not valid, or says too little.
            IdentityUnavailable: the issuer's keys cannot be fetched.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise _refused()
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _refused() from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        # `crit` names extensions that must be understood (Source: RFC 7515, section 4.1.11); we know none.
        if algorithm not in self._rules.algorithms or "crit" in header or not isinstance(key_id, str | None):
            raise _refused()
        key = self._keys if isinstance(self._keys, str) else await self._keys.find(key_id, algorithm)
        claims = self._check(token, key, algorithm)
        return _principal(claims, self._rules.claims), float(claims["exp"]) + self._rules.skew_seconds

    def _check(self, token: str, key: str | jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._rules.issuer,
                audience=self._rules.audience,
                leeway=self._rules.skew_seconds,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError):
            raise _refused() from None


def _refused() -> CredentialsInvalid:
    return CredentialsInvalid("the token is not valid here")  # which check failed helps only who forges one


def read_token_rules(settings: Settings) -> tuple[TokenRules, str | KeySet] | None:
    """Return how tokens are checked, and with what; None where the settings name neither secret nor key URL.

    Raises:
        SettingInvalid: they do not fit together, or would let others in.
    """
    if not (settings.jwt_secret or settings.jwks_url):
        return None
    _check_keys(settings)
    for name, value in (("ISSUER", settings.jwt_issuer), ("AUDIENCE", settings.jwt_audience)):
        if not value:
            problem = "is needed with tokens: without it tokens made for others would be accepted"
            raise SettingInvalid(f"MEDIAPLANE_JWT_{name}", problem)
    rules = TokenRules(
        algorithms=_algorithms(settings),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        skew_seconds=settings.jwt_skew_seconds,
        claims=_claim_rules(settings),
    )
    return rules, settings.jwt_secret or KeySet(settings.jwks_url)


def _check_keys(settings: Settings) -> None:
    if settings.jwt_secret and settings.jwks_url:
        raise SettingInvalid("MEDIAPLANE_JWT_SECRET", "set either this or MEDIAPLANE_JWKS_URL, not both")
    if settings.jwt_secret and len(settings.jwt_secret.encode()) < MIN_SECRET_BYTES:
        raise SettingInvalid("MEDIAPLANE_JWT_SECRET", f"must have {MIN_SECRET_BYTES} bytes at least")
    if "-----BEGIN" in settings.jwt_secret:
        raise SettingInvalid("MEDIAPLANE_JWT_SECRET", "is a public key, which everybody has: use MEDIAPLANE_JWKS_URL")
    parts = urlsplit(settings.jwks_url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise SettingInvalid("MEDIAPLANE_JWKS_URL", "must begin with https://: who can change the keys can be anybody")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _algorithms(settings: Settings) -> tuple[str, ...]:
    allowed = SHARED if settings.jwt_secret else PUBLISHED
    chosen = settings.jwt_algorithms or (("HS256",) if settings.jwt_secret else ("RS256", "ES256"))
    if wrong := [name for name in chosen if name not in allowed]:
        where = "MEDIAPLANE_JWT_SECRET" if settings.jwt_secret else "MEDIAPLANE_JWKS_URL"
        problem = f"with {where} it may list {', '.join(allowed)}, not {', '.join(wrong)}"
        raise SettingInvalid("MEDIAPLANE_JWT_ALGORITHMS", problem)
    return chosen


def _claim_rules(settings: Settings) -> ClaimRules:
    names = (
        settings.jwt_owner_claim,
        settings.jwt_team_claim,
        settings.jwt_role_claim,
        settings.jwt_scope_claim,
        settings.jwt_tier_claim,
    )
    if any(name.split(".", 1)[0] == "user_metadata" for name in names):
        raise SettingInvalid("MEDIAPLANE_JWT_…_CLAIM", "user_metadata is written by users themselves: use app_metadata")
    default = settings.jwt_default_role
    return ClaimRules(*names, roles=_role_names(settings), default_role=None if default == "none" else Role(default))


def _role_names(settings: Settings) -> dict[str, Role]:
    """Return which of the issuer's roles is which of ours; where none are given, they have our names.

    Raises:
        SettingInvalid: an entry is no name=role.
    """
    if not settings.jwt_roles:
        return {role.value: role for role in Role}
    named: dict[str, Role] = {}
    for entry in settings.jwt_roles:
        name, _, ours = entry.rpartition("=")
        if not name or ours not in list(Role):
            problem = f"must be name=role with a role of {', '.join(Role)}, not {entry!r}"
            raise SettingInvalid("MEDIAPLANE_JWT_ROLES", problem)
        named[name] = Role(ours)
    return named


def _principal(claims: Mapping[str, Any], rules: ClaimRules) -> Principal:
    owner = _text(_claim(claims, rules.owner))
    team = _text(_claim(claims, rules.team)) if rules.team else owner
    if owner is None or team is None:
        raise CredentialsInvalid("the token does not name an owner and a team")
    role = next((rules.roles[name] for name in _listed(_claim(claims, rules.role)) if name in rules.roles), None)
    role = role or rules.default_role
    if role is None:
        raise CredentialsInvalid("the token names no role that is known here")
    tier = _claim(claims, rules.tier)
    return Principal(
        subject=f"jwt:{_text(claims.get('sub')) or owner}",
        owner=owner,
        team=team,
        role=role,
        scopes=_scopes(claims, rules),
        tier=tier if isinstance(tier, int) and not isinstance(tier, bool) and 0 <= tier < 1000 else 0,
    )


def _scopes(claims: Mapping[str, Any], rules: ClaimRules) -> frozenset[str]:
    if not rules.scope:
        return frozenset()
    return frozenset(_listed(_claim(claims, rules.scope))) or frozenset(("none",))  # a token without any may nothing


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return the claim of this name, e.g. `https://example.com/team`, or at this path, e.g. `app_metadata.team`."""
    if not name or name in claims:
        return claims.get(name)
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _listed(value: Any) -> list[str]:
    """Return the words of a text (OAuth's `scope`) or the texts of a list (Keycloak's roles)."""
    if isinstance(value, str):
        return value.split()
    return [part for part in value if isinstance(part, str)] if isinstance(value, list) else []
