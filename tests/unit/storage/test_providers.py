"""Who is behind an endpoint, and what follows from that."""

import pytest

from mediaplane.settings import PROVIDER_NAMES, load_settings
from mediaplane.storage.endpoint import read_endpoint
from mediaplane.storage.providers import OTHER, PROVIDERS, find_provider, find_region

KEYS = {"S3_ACCESS_KEY_ID": "k", "S3_SECRET_ACCESS_KEY": "s"}


def endpoint_of(**environ: str):
    return read_endpoint(load_settings({**KEYS, **environ}))


@pytest.mark.parametrize(
    ("url", "name", "region"),
    [
        ("https://s3.amazonaws.com", "aws", "us-east-1"),
        ("https://s3.eu-central-1.amazonaws.com", "aws", "eu-central-1"),
        ("https://s3.dualstack.ap-southeast-2.amazonaws.com", "aws", "ap-southeast-2"),
        ("https://s3-us-west-2.amazonaws.com", "aws", "us-west-2"),
        ("https://s3.us-gov-west-1.amazonaws.com", "aws", "us-gov-west-1"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "aws", "cn-north-1"),
        ("https://0123abc.r2.cloudflarestorage.com", "r2", "auto"),
        ("https://0123abc.eu.r2.cloudflarestorage.com", "r2", "auto"),
        ("https://fsn1.your-objectstorage.com", "hetzner", "fsn1"),
        ("https://HEL1.your-objectstorage.com:443/", "hetzner", "hel1"),
        ("https://storage.googleapis.com", "google", "auto"),
        ("https://nyc3.digitaloceanspaces.com", "digitalocean", "nyc3"),
        ("https://s3.us-west-004.backblazeb2.com", "backblaze", "us-west-004"),
        ("http://127.0.0.1:9000", "other", "us-east-1"),
        ("https://amazonaws.com.example.org", "other", "us-east-1"),
        ("https://notstorage.googleapis.com", "other", "us-east-1"),
    ],
)
def test_provider_and_region_by_host(url, name, region):
    """The end of the host's name tells the provider, and often the region."""
    provider = find_provider(url)
    assert (provider.name, find_region(provider, url)) == (name, region)


@pytest.mark.parametrize("name", PROVIDER_NAMES)
def test_provider_by_name(name):
    """S3_PROVIDER beats the host."""
    assert find_provider("https://s3.amazonaws.com", name).name == name
    assert endpoint_of(S3_ENDPOINT="http://127.0.0.1:9000", S3_PROVIDER=name).provider.name == name


def test_names_in_settings_are_the_providers():
    """What S3_PROVIDER allows is what there is."""
    assert sorted(PROVIDER_NAMES) == sorted(provider.name for provider in PROVIDERS)


def test_host_of_one_provider_is_nobody_elses():
    """No host ends as two providers' do."""
    endings = [ending for provider in PROVIDERS for ending in provider.hosts]
    assert len(endings) == len(set(endings))


def test_unknown_server_is_trusted_with_little():
    """What only some can do is not taken for granted."""
    assert not (OTHER.checksum_trailers or OTHER.conditional_writes or OTHER.post_policy)


@pytest.mark.parametrize(
    ("environ", "virtual"),
    [
        ({"S3_ENDPOINT": "https://s3.eu-west-1.amazonaws.com"}, True),
        ({"S3_ENDPOINT": "https://s3.eu-west-1.amazonaws.com", "S3_BUCKET": "with.dots"}, False),
        ({"S3_ENDPOINT": "https://s3.eu-west-1.amazonaws.com", "S3_ADDRESSING": "path"}, False),
        ({"S3_ENDPOINT": "http://127.0.0.1:9000"}, False),
        ({"S3_ENDPOINT": "http://s3.localhost:9000", "S3_ADDRESSING": "virtual"}, True),
        ({"R2_ACCOUNT_ID": "abc"}, False),
    ],
)
def test_addressing_is_the_providers_unless_set(environ, virtual):
    """`auto` takes what the provider wants; a bucket with dots stays in the path, where HTTPS would refuse its name."""
    assert endpoint_of(**environ).virtual_host == virtual


def test_region_that_is_set_counts():
    """The setting beats what the host says."""
    assert endpoint_of(S3_ENDPOINT="https://fsn1.your-objectstorage.com").region == "fsn1"
    assert endpoint_of(S3_ENDPOINT="https://fsn1.your-objectstorage.com", S3_REGION="eu").region == "eu"


def test_colder_class_is_one_of_the_provider():
    """A class that is named exists there."""
    for provider in PROVIDERS:
        assert not provider.colder_class or provider.colder_class in provider.storage_classes
