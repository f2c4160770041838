"""Settings of the tokens that an identity provider issues. Part of `Settings`."""

from dataclasses import dataclass

from mediaplane.settings import values
from mediaplane.settings.describing import setting


@dataclass(frozen=True)  # without slots, as `Settings` has several parts
class TokenSettings:
    """How tokens are checked, and what they say of who asks."""

    jwt_secret: str = setting(
        "MEDIAPLANE_JWT_SECRET",
        values.text,
        "",
        "secret shared with who issues tokens (HS256); 32 bytes at least",
        secret=True,
    )
    jwks_url: str = setting(
        "MEDIAPLANE_JWKS_URL", values.url("https", "http"), "", "where the issuer publishes the keys of its tokens"
    )
    jwt_algorithms: tuple[str, ...] = setting(
        "MEDIAPLANE_JWT_ALGORITHMS",
        values.names,
        (),
        "algorithms a token may be signed with; empty: HS256 with a secret, RS256 and ES256 with a key URL",
    )
    jwt_issuer: str = setting("MEDIAPLANE_JWT_ISSUER", values.text, "", "`iss` of tokens, exactly as it stands in them")
    jwt_audience: str = setting("MEDIAPLANE_JWT_AUDIENCE", values.text, "", "`aud` of tokens")
    jwt_skew_seconds: int = setting(
        "MEDIAPLANE_JWT_SKEW_SECONDS", values.whole(0, 300), 30, "how far the issuer's clock may be off"
    )
    jwt_owner_claim: str = setting("MEDIAPLANE_JWT_OWNER_CLAIM", values.text, "sub", "claim that names the owner")
    jwt_team_claim: str = setting(
        "MEDIAPLANE_JWT_TEAM_CLAIM", values.text, "", "claim that names the team; empty: everyone is a team of one"
    )
    jwt_role_claim: str = setting(
        "MEDIAPLANE_JWT_ROLE_CLAIM",
        values.text,
        "",
        "claim that names the role, e.g. app_metadata.role, realm_access.roles",
    )
    jwt_roles: tuple[str, ...] = setting(
        "MEDIAPLANE_JWT_ROLES", values.names, (), "what the issuer's roles are here, e.g. editor=member,boss=admin"
    )
    jwt_default_role: str = setting(
        "MEDIAPLANE_JWT_DEFAULT_ROLE",
        values.one_of("contributor", "validator", "company", "member", "none"),
        "contributor",
        "role of tokens that name no role known here; none: they are refused",
    )
    jwt_scope_claim: str = setting(
        "MEDIAPLANE_JWT_SCOPE_CLAIM", values.text, "", "claim that lists scopes; empty: all that the role may do"
    )
    jwt_tier_claim: str = setting("MEDIAPLANE_JWT_TIER_CLAIM", values.text, "", "claim with a validator's tier")
