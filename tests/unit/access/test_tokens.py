"""Tokens of an identity provider: what is accepted, and every way in which one is forged."""

import base64
import json
import time
from typing import Any

import jwt
import jwt.api_jws
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mediaplane.access.jwks import FRESH_SECONDS, KEPT_SECONDS, PAUSE_SECONDS, KeySet
from mediaplane.access.principals import Principal, Role
from mediaplane.access.tokens import MAX_TOKEN_CHARS, TokenReader, read_token_rules
from mediaplane.errors import CredentialsInvalid, IdentityUnavailable, SettingInvalid
from mediaplane.settings import load_settings

SECRET = "a secret of thirty-two bytes or more, for tests only"
ISSUER, AUDIENCE = "https://issuer.example/", "mediaplane"
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"sub": "ann", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600, **changes}
    return {name: value for name, value in made.items() if value is not None}


def settings_of(**environ: str):
    named = {"MEDIAPLANE_JWT_ISSUER": ISSUER, "MEDIAPLANE_JWT_AUDIENCE": AUDIENCE, **environ}
    return load_settings({name: value for name, value in named.items() if value})


def shared(**environ: str) -> TokenReader:
    found = read_token_rules(settings_of(MEDIAPLANE_JWT_SECRET=SECRET, **environ))
    assert found
    return TokenReader(*found)


class Issuer:
    """An issuer's key server, as its answers: what it serves can be changed, and it can be down."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.fetches = 0
        self.down = False
        self.seconds = 1000.0

    def fetch(self, _url: str) -> bytes:
        self.fetches += 1
        if self.down:
            raise OSError("connection refused")
        return json.dumps({"keys": self.keys}).encode()

    def reader(self, **environ: str) -> TokenReader:
        found = read_token_rules(settings_of(MEDIAPLANE_JWKS_URL="https://issuer.example/jwks", **environ))
        assert found
        return TokenReader(found[0], KeySet("https://issuer.example/jwks", fetch=self.fetch, now=lambda: self.seconds))


def published(key: Any, kid: str, **fields: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig", **fields}


def sign(payload: dict[str, Any], key: Any, algorithm: str, **headers: Any) -> str:
    return jwt.api_jws.encode(json.dumps(payload).encode(), key, algorithm=algorithm, headers=headers)


def unsigned(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def refused(reader: TokenReader, token: str) -> None:
    with pytest.raises(CredentialsInvalid):
        await reader.read(token)


async def test_token_with_a_shared_secret():
    """A token names its owner, alone in a team, with the role of the least rights, and ends when it says."""
    payload = claims()
    who, until = await shared().read(sign(payload, SECRET, "HS256"))
    assert who == Principal(subject="jwt:ann", owner="ann", team="ann", role=Role.CONTRIBUTOR)
    assert until == payload["exp"] + 30


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://another.example/"},
        {"iss": ISSUER.rstrip("/")},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "another"},
        {"aud": None},
        {"aud": {"mediaplane": 1}},
        {"exp": None},
        {"exp": int(time.time()) - 3600},
        {"exp": "never"},
        {"exp": float("inf")},
        {"nbf": int(time.time()) + 10**7},
        {"iat": int(time.time()) + 10**7},
        {"sub": None},
        {"sub": ""},
        {"sub": "*"},
        {"sub": 7},
        {"sub": "a\u0000b"},
        {"sub": "x" * 300},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_token_with_wrong_claims(changes):
    """Foreign, expired, not yet valid, without an end, or naming nobody: refused, though signed well."""
    await refused(shared(), sign(claims(**changes), SECRET, "HS256"))


async def test_token_within_the_skew():
    """Clocks may differ by the setting, in both directions, and not by more."""
    now = int(time.time())
    for changes in ({"exp": now - 20}, {"nbf": now + 20, "iat": now + 20}):
        await shared().read(sign(claims(**changes), SECRET, "HS256"))
    await refused(shared(MEDIAPLANE_JWT_SKEW_SECONDS="5"), sign(claims(exp=now - 20), SECRET, "HS256"))


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None])
async def test_token_without_signature(name):
    """`none` is no algorithm, however it is written."""
    for reader in (shared(), Issuer(published(RSA_KEY, "k1")).reader()):
        await refused(reader, unsigned({"alg": name, "typ": "JWT"}, claims()))
        await refused(reader, unsigned({"alg": name, "typ": "JWT"}, claims(), b"x"))
        await refused(reader, unsigned({"typ": "JWT"}, claims()))


async def test_token_with_a_confused_algorithm():
    """The issuer's public key, which everybody has, is no shared secret."""
    reader = Issuer(published(RSA_KEY, "k1")).reader()
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    import hashlib
    import hmac

    for algorithm, secret in (("HS256", pem), ("HS256", json.dumps(published(RSA_KEY, "k1")).encode())):
        head = unsigned({"alg": algorithm, "typ": "JWT", "kid": "k1"}, claims()).rpartition(".")[0]
        signature = base64.urlsafe_b64encode(hmac.digest(secret, head.encode(), hashlib.sha256)).rstrip(b"=").decode()
        await refused(reader, f"{head}.{signature}")


async def test_token_with_another_algorithm_of_the_family():
    """Algorithms are settings, not what a token says: HS512 is refused where HS256 is set, PS256 where RS256 is."""
    await refused(shared(), sign(claims(), SECRET * 2, "HS512"))
    await refused(Issuer(published(RSA_KEY, "k1")).reader(), sign(claims(), RSA_KEY, "PS256", kid="k1"))
    await refused(Issuer(published(EC_KEY, "k1")).reader(), sign(claims(), RSA_KEY, "RS256", kid="k1"))


async def test_token_signed_by_somebody_else():
    """Another secret, another key under a known id, a changed payload: refused."""
    await refused(shared(), sign(claims(), "another secret of thirty-two bytes or more", "HS256"))
    await refused(Issuer(published(RSA_KEY, "k1")).reader(), sign(claims(), OTHER_RSA_KEY, "RS256", kid="k1"))
    head, _, signature = sign(claims(), SECRET, "HS256").split(".")
    changed = unsigned({}, claims(sub="bob")).split(".")[1]
    await refused(shared(), f"{head}.{changed}.{signature}")


async def test_token_that_brings_its_own_key():
    """Keys in the header, or addresses of keys, are not looked at."""
    issuer = Issuer(published(RSA_KEY, "k1"))
    stranger = published(OTHER_RSA_KEY, "k1")
    for headers in ({"jwk": stranger}, {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/x"}):
        await refused(issuer.reader(), sign(claims(), OTHER_RSA_KEY, "RS256", kid="k1", **headers))


async def test_token_with_extensions():
    """A token that says it cannot be understood without an extension is refused."""
    await refused(shared(), sign(claims(), SECRET, "HS256", crit=["exp"], exp=1))
    await refused(shared(), unsigned({"alg": "HS256", "b64": False, "crit": ["b64"]}, claims(), b"x"))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c", "é.é.é", "." * 5000, "e30.e30.e30", "W10.e30.", "[" * 8000, "\x00"],
)
async def test_token_that_is_none(token):
    """What is no token is refused, not a fault of ours."""
    await refused(shared(), token)
    await refused(Issuer(published(RSA_KEY, "k1")).reader(), token)


async def test_token_that_is_huge():
    """A token longer than any real one is not even parsed."""
    token = sign(claims(more="x" * MAX_TOKEN_CHARS), SECRET, "HS256")
    await refused(shared(), token)
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode()
    await refused(shared(), f"{deep}.e30.e30")


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256")], ids=["rsa", "ec"])
async def test_token_with_a_published_key(key, algorithm):
    """Keys are fetched once; a token without a key id is checked with the only key there is."""
    issuer = Issuer(published(key, "k1"))
    reader = issuer.reader()
    for headers in ({"kid": "k1"}, {}):
        who, _ = await reader.read(sign(claims(), key, algorithm, **headers))
        assert who.owner == "ann"
    assert issuer.fetches == 1


async def test_token_after_the_keys_were_rotated():
    """An unknown key id has the keys fetched again; the old key ends with the issuer's list."""
    issuer = Issuer(published(RSA_KEY, "k1"))
    reader = issuer.reader()
    old, new = sign(claims(), RSA_KEY, "RS256", kid="k1"), sign(claims(), OTHER_RSA_KEY, "RS256", kid="k2")
    await reader.read(old)
    issuer.keys = [published(OTHER_RSA_KEY, "k2")]
    issuer.seconds += PAUSE_SECONDS
    assert (await reader.read(new))[0].owner == "ann"
    issuer.seconds += PAUSE_SECONDS
    await refused(reader, old)


async def test_token_with_foreign_key_ids_does_not_flood_the_issuer():
    """However many foreign key ids come, the issuer is asked once in a while."""
    issuer = Issuer(published(RSA_KEY, "k1"))
    reader = issuer.reader()
    for number in range(50):
        await refused(reader, sign(claims(), OTHER_RSA_KEY, "RS256", kid=f"foreign-{number}"))
    assert issuer.fetches == 1
    await refused(reader, unsigned({"alg": "RS256", "kid": ["k1"]}, claims(), b"x"))
    await refused(reader, unsigned({"alg": "RS256", "kid": "../../k1"}, claims(), b"x"))


async def test_token_while_the_issuer_is_down():
    """Known keys go on working for a day; without any nobody is told that a token is wrong."""
    issuer = Issuer(published(RSA_KEY, "k1"))
    reader = issuer.reader()
    token = sign(claims(exp=int(time.time()) + 10**6), RSA_KEY, "RS256", kid="k1")
    issuer.down = True
    with pytest.raises(IdentityUnavailable):
        await reader.read(token)
    issuer.down = False
    with pytest.raises(IdentityUnavailable):  # asked a moment ago
        await reader.read(token)
    issuer.seconds += PAUSE_SECONDS
    await reader.read(token)
    issuer.down = True
    issuer.seconds += FRESH_SECONDS + 1
    await reader.read(token)
    issuer.seconds += KEPT_SECONDS
    with pytest.raises(IdentityUnavailable):
        await reader.read(token)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"keys": {}}', b'{"keys": [1, null]}', b'{"keys": [{"kty": "RSA", "kid": "k1", "n": "", "e": ""}]}'],
)
async def test_token_while_the_issuer_talks_nonsense(body):
    """What is no key set opens nothing and breaks nothing."""
    found = read_token_rules(settings_of(MEDIAPLANE_JWKS_URL="https://issuer.example/jwks"))
    assert found
    reader = TokenReader(found[0], KeySet("https://issuer.example/jwks", fetch=lambda _url: body))
    with pytest.raises((CredentialsInvalid, IdentityUnavailable)):
        await reader.read(sign(claims(), RSA_KEY, "RS256", kid="k1"))


async def test_token_with_keys_for_something_else():
    """A published secret, a key for encryption, or one of another algorithm signs nothing here."""
    secret = base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"=").decode()
    issuer = Issuer(
        {"kty": "oct", "kid": "s", "k": secret},
        published(RSA_KEY, "enc", use="enc"),
        published(OTHER_RSA_KEY, "alg", alg="RS512"),
    )
    reader = issuer.reader()
    await refused(reader, sign(claims(), SECRET, "HS256", kid="s"))
    await refused(reader, sign(claims(), RSA_KEY, "RS256", kid="enc"))
    await refused(reader, sign(claims(), OTHER_RSA_KEY, "RS256", kid="alg"))


SUPABASE = {"sub": "u-1", "role": "authenticated", "app_metadata": {"team": "blue", "role": "member", "tier": 3}}
KEYCLOAK = {
    "sub": "u-2",
    "realm_access": {"roles": ["offline_access", "reviewer"]},
    "groups": "red",
    "scope": "read review",
}
AUTH0 = {
    "sub": "auth0|3",
    "https://mediaplane.example/role": "boss",
    "https://mediaplane.example/team": "green",
}


@pytest.mark.parametrize(
    ("payload", "environ", "expected"),
    [
        (
            SUPABASE,
            {"TEAM_CLAIM": "app_metadata.team", "ROLE_CLAIM": "app_metadata.role", "TIER_CLAIM": "app_metadata.tier"},
            Principal("jwt:u-1", "u-1", "blue", Role.MEMBER, tier=3),
        ),
        (
            KEYCLOAK,
            {
                "TEAM_CLAIM": "groups",
                "ROLE_CLAIM": "realm_access.roles",
                "ROLES": "reviewer=validator",
                "SCOPE_CLAIM": "scope",
            },
            Principal("jwt:u-2", "u-2", "red", Role.VALIDATOR, scopes=frozenset(("read", "review"))),
        ),
        (
            AUTH0,
            {
                "TEAM_CLAIM": "https://mediaplane.example/team",
                "ROLE_CLAIM": "https://mediaplane.example/role",
                "ROLES": "boss=admin",
            },
            Principal("jwt:auth0|3", "auth0|3", "green", Role.ADMIN),
        ),
        (
            AUTH0,
            {"SCOPE_CLAIM": "scope"},
            Principal("jwt:auth0|3", "auth0|3", "auth0|3", Role.CONTRIBUTOR, frozenset({"none"})),
        ),
    ],
    ids=["supabase", "keycloak", "auth0", "no scope"],
)
async def test_token_claims_of_providers(payload, environ, expected):
    """Owner, team, role, scopes and tier are read where the settings say, as providers write them."""
    reader = shared(**{f"MEDIAPLANE_JWT_{name}": value for name, value in environ.items()})
    assert (await reader.read(sign(claims(**payload), SECRET, "HS256")))[0] == expected


async def test_token_whose_role_is_not_known():
    """A role that is not ours gives the default one, or nothing where the setting says so; so does a missing team."""
    payload = claims(role="superuser")
    who, _ = await shared(MEDIAPLANE_JWT_ROLE_CLAIM="role").read(sign(payload, SECRET, "HS256"))
    assert who.role is Role.CONTRIBUTOR
    strict = shared(MEDIAPLANE_JWT_ROLE_CLAIM="role", MEDIAPLANE_JWT_DEFAULT_ROLE="none")
    await refused(strict, sign(payload, SECRET, "HS256"))
    await refused(shared(MEDIAPLANE_JWT_TEAM_CLAIM="team"), sign(payload, SECRET, "HS256"))


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"MEDIAPLANE_JWT_SECRET": "short"}, "MEDIAPLANE_JWT_SECRET"),
        ({"MEDIAPLANE_JWT_SECRET": "-----BEGIN PUBLIC KEY-----" + "x" * 40}, "MEDIAPLANE_JWT_SECRET"),
        ({"MEDIAPLANE_JWT_SECRET": SECRET, "MEDIAPLANE_JWKS_URL": "https://x.example"}, "not both"),
        ({"MEDIAPLANE_JWT_SECRET": SECRET, "MEDIAPLANE_JWT_ALGORITHMS": "RS256"}, "MEDIAPLANE_JWT_ALGORITHMS"),
        ({"MEDIAPLANE_JWT_SECRET": SECRET, "MEDIAPLANE_JWT_ALGORITHMS": "none"}, "MEDIAPLANE_JWT_ALGORITHMS"),
        (
            {"MEDIAPLANE_JWKS_URL": "https://x.example", "MEDIAPLANE_JWT_ALGORITHMS": "HS256"},
            "MEDIAPLANE_JWT_ALGORITHMS",
        ),
        ({"MEDIAPLANE_JWKS_URL": "http://x.example/jwks"}, "MEDIAPLANE_JWKS_URL"),
        ({"MEDIAPLANE_JWT_SECRET": SECRET, "MEDIAPLANE_JWT_ISSUER": ""}, "MEDIAPLANE_JWT_ISSUER"),
        ({"MEDIAPLANE_JWT_SECRET": SECRET, "MEDIAPLANE_JWT_AUDIENCE": ""}, "MEDIAPLANE_JWT_AUDIENCE"),
        ({"MEDIAPLANE_JWT_SECRET": SECRET, "MEDIAPLANE_JWT_ROLE_CLAIM": "user_metadata.role"}, "app_metadata"),
        ({"MEDIAPLANE_JWT_SECRET": SECRET, "MEDIAPLANE_JWT_ROLES": "boss=root"}, "MEDIAPLANE_JWT_ROLES"),
    ],
)
def test_token_settings_that_let_others_in(environ, named):
    """Settings that do not fit together, or that others could make use of, are refused with what to do."""
    with pytest.raises(SettingInvalid, match=named):
        read_token_rules(settings_of(**environ))


def test_token_settings_of_none():
    """Without secret and key URL there are no tokens."""
    assert read_token_rules(load_settings({})) is None
