"""`s3 compat`: what the configured S3 servers can really do, beside what the plane believes of them."""

from dataclasses import replace
from typing import Any

import typer

from mediaplane.cli.output import console, notes, print_json
from mediaplane.servers import find_services
from mediaplane.settings import load_settings
from mediaplane.storage.endpoint import S3Endpoint


def compat(as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else")) -> None:
    """Try what the S3 server of each store can do, in buckets of its own that it removes again."""
    from mediaplane.storage.compatibility import differences, measure  # boto3 is slow to import

    documents: list[dict[str, Any]] = []
    for endpoint in _endpoints():
        with notes.status(f"trying {endpoint.url} …") as status:
            found = measure(endpoint, lambda name: status.update(f"trying {name} …"))
        documents.append(
            {
                "endpoint": endpoint.url,
                "provider": endpoint.provider.name,
                "abilities": [
                    {"name": one.ability.name, "able": one.able, "note": one.note, "about": one.ability.sentence}
                    for one in found
                ],
                "differences": [
                    {"sentence": one.sentence, "promised": one.promised}
                    for one in differences(endpoint.provider, [found])
                ],
            }
        )
    if as_json:
        print_json({"servers": documents})
    else:
        for document in documents:
            _tell(document)
    if any(one["promised"] for document in documents for one in document["differences"]):
        raise typer.Exit(1)


def _endpoints() -> list[S3Endpoint]:
    """Return each endpoint of the stores once, whatever its buckets are."""
    from mediaplane.storage.endpoint import endpoint_url, read_endpoint

    settings = find_services(load_settings())
    found = [read_endpoint(settings, store.name) for store in settings.stores if endpoint_url(settings, store)]
    return list({replace(endpoint, bucket=""): endpoint for endpoint in found}.values())


def _tell(document: dict[str, Any]) -> None:
    console.print(f"{document['endpoint']}, believed to be {document['provider']} (S3_PROVIDER)\n")
    for ability in document["abilities"]:
        mark = "[green]yes[/green]" if ability["able"] else "[red]no[/red] "
        console.print(f"{mark} {ability['name']:<32} {ability['note']}")
    console.print()
    for difference in document["differences"]:
        style = "red" if difference["promised"] else "yellow"
        console.print(difference["sentence"], style=style)
    if not document["differences"]:
        console.print("all as it is declared")
