"""What `providers.py` declares of the servers that tests have, against what they really do; writes docs/providers.md.

`make providers` runs this with MEDIAPLANE_WRITE_PROVIDERS set: then every way of reaching a server is measured. Without
it two ways do, which between them have HTTP, HTTPS, path and virtual-host style.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from mediaplane.storage.compatibility import ABILITIES, DECLARED, differences, measure
from mediaplane.storage.compatibility.report import page
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.providers import PROVIDERS, find_provider
from tests.acceptance.plane import MEDIAPLANE, clean_environ
from tests.contracts.conftest import use_proxy

PAGE = Path(__file__).resolve().parents[2] / "docs" / "providers.md"
WRITE = bool(os.environ.get("MEDIAPLANE_WRITE_PROVIDERS"))
SERVERS = {"SeaweedFS": ("seaweed", "seaweedfs"), "Ceph RGW": ("rgw", "ceph")}
WAYS = {
    "HTTP path": ("http", "path"),
    "HTTP host": ("http", "virtual"),
    "HTTPS path": ("https", "path"),
    "HTTPS host": ("https", "virtual"),
}
TESTED = tuple(WAYS) if WRITE else ("HTTP path", "HTTPS host")


@pytest.fixture(scope="module")
def runs(request, localhost_proxy_url):
    """Measure each server, on each of the ways."""
    return {
        server: {way: measured(request.getfixturevalue(fixture), way, localhost_proxy_url) for way in TESTED}
        for server, (fixture, _) in SERVERS.items()
    }


def measured(server, way, proxy):
    with pytest.MonkeyPatch.context() as patch:
        use_proxy(patch, proxy if WAYS[way][1] == "virtual" else None)
        return measure(endpoint(server, *WAYS[way]))


def endpoint(server, scheme, addressing):
    return S3Endpoint(
        server.endpoint(scheme=scheme, addressing=addressing),
        "unused",
        server.access_key,
        server.secret_key,
        virtual_host=addressing == "virtual",
        ca_file=str(server.ca_file) if scheme == "https" else "",
    )


@pytest.mark.parametrize("server", SERVERS)
def test_declared_abilities_are_the_measured_ones(runs, server):
    """The one place that knows is right about the servers we can ask."""
    provider = find_provider("", SERVERS[server][1])
    assert [one.sentence for one in differences(provider, list(runs[server].values()))] == []


def test_what_everything_stands_on_works_everywhere(runs):
    """No server lacks what the plane has no other way for."""
    needed = {
        "metadata and MD5 as ETag", "odd characters in keys", "byte ranges", "list by folder", "copy on the server",
        "upload in parts", "abort", "signed GET", "expiry of signed URLs", "signed PUT, type bound",
        "signed PUT, size bound", "signed part", "upload without checksum", "private at first", "wrong keys told",
    }  # fmt: skip
    lacking = [
        (server, way, one.ability.name, one.note)
        for server, ways in runs.items()
        for way, run in ways.items()
        for one in run
        if one.ability.name in needed and not one.able
    ]
    assert needed <= {ability.name for group in ABILITIES.values() for ability in group}
    assert lacking == []


def test_page_says_what_was_measured(runs):
    """docs/providers.md holds what the servers do now."""
    if WRITE:
        PAGE.write_text(page(PROVIDERS, runs))
    head, _, _ = page(PROVIDERS, runs).partition("## Measured")
    text = PAGE.read_text()
    assert text.startswith(head), "run `make providers`"
    for server, ways in runs.items():
        for way, run in ways.items():
            said = column(text, f"{server} {way}")
            assert said == {one.ability.name: "yes" if one.able else "**no**" for one in run}, f"{server} {way}"


def column(text, name):
    """Return what the tables say under one head, by ability."""
    said = {}
    place = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if name in cells:
            place = cells.index(name)
        elif not line.startswith("|"):
            place = None
        elif place is not None and set(cells[0]) != {"-"}:
            said[cells[0]] = cells[place]
    return said


def test_every_declaration_that_is_tried_is_tried_by_abilities_there_are():
    """Neither a misspelt ability nor a field that is gone can make a difference vanish."""
    names = {ability.name for group in ABILITIES.values() for ability in group}
    for field, needed in DECLARED.items():
        assert hasattr(PROVIDERS[0], field)
        assert set(needed) <= names


def test_difference_is_told_in_a_sentence(runs):
    """A declaration that promises too little or too much says what was found, and which of both it is."""
    google = find_provider("", "google")  # which SeaweedFS is not
    told = {one.sentence: one.promised for one in differences(google, list(runs["SeaweedFS"].values()))}
    assert told["google: batch_delete is declared False, but it can do all of it"] is False
    amazon = find_provider("", "aws")  # which Ceph is not
    told = {one.sentence: one.promised for one in differences(amazon, list(runs["Ceph RGW"].values()))}
    assert told["aws: access_logs is declared True, but it cannot: access logs"] is True
    lacking = "SDKs' default checksum, checksum returned, wrong CRC32 refused"
    assert told[f"aws: checksum_trailers is declared True, but it cannot: {lacking}"] is True


def test_lifecycle_rules_that_are_kept_are_not_taken_for_rules_that_are_carried_out(runs):
    """SeaweedFS keeps rules nobody acts on: that it is declared not to expire is no difference."""
    seaweed = find_provider("", "seaweedfs")
    kept = {one.ability.name for one in runs["SeaweedFS"]["HTTP path"] if one.able}
    assert "expiry" in kept and not seaweed.lifecycle_expiry


def test_command_tells_what_the_configured_server_can_do(seaweed, tmp_path):
    """`s3 compat` measures the server of the settings, exits 1 where it lacks what is declared, and leaves nothing."""
    environ = clean_environ(
        tmp_path,
        S3_ENDPOINT=seaweed.http_endpoint,
        S3_ACCESS_KEY_ID=seaweed.access_key,
        S3_SECRET_ACCESS_KEY=seaweed.secret_key,
        DATABASE_URL="postgresql://127.0.0.1:1/unused",
    )

    def compat(provider, *options):
        command = [MEDIAPLANE, "s3", "compat", *options]
        return subprocess.run(
            command, env={**environ, "S3_PROVIDER": provider}, capture_output=True, text=True, timeout=120, check=False
        )

    before = {bucket["Name"] for bucket in seaweed.client().list_buckets()["Buckets"]}
    good = compat("seaweedfs", "--json")
    assert good.returncode == 0, good.stderr
    document = json.loads(good.stdout)["servers"][0]
    assert document["provider"] == "seaweedfs"
    assert {"name": "byte ranges", "able": True, "note": ""}.items() <= document["abilities"][5].items()
    wrong = compat("aws")
    assert wrong.returncode == 1
    assert "aws: public_access_block is declared True, but it cannot: public access block" in wrong.stdout
    assert {bucket["Name"] for bucket in seaweed.client().list_buckets()["Buckets"]} == before
