"""`config` and `doctor`: what is set, and what is wrong."""

import asyncio
from typing import Any

import typer

from mediaplane.cli.output import console, print_json, print_table
from mediaplane.servers import find_services
from mediaplane.settings import describe, load_settings

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")


def config(
    role: str = typer.Option("", "--role", help="As gateway, worker or scanner sees it"), as_json: bool = JSON
) -> None:
    """Print the effective settings, secrets masked, and where each came from."""
    if role not in ("", "gateway", "worker", "scanner"):
        raise typer.BadParameter("must be gateway, worker or scanner", param_hint="--role")
    settings = load_settings(role=role)
    entries = describe(settings)
    if as_json:
        print_json({"profile": settings.profile, "settings": entries})
        return
    console.print(f"profile {settings.profile}, environment {settings.environment}\n")
    print_table(("setting", "value", "from"), [(e["setting"], e["value"], e["source"]) for e in entries])


def doctor(as_json: bool = JSON) -> None:
    """Check database, migrations, stores, buckets, ffmpeg, OCR, disk and clock; say what is wrong and what to do."""
    from mediaplane.cli.doctor import examine  # OpenCV and onnxruntime are slow to import

    settings = find_services(load_settings())
    findings = asyncio.run(examine(settings))
    if as_json:
        print_json({"checks": [_document(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = "[green]ok[/green]  " if finding.ok else "[red]bad[/red] "
            console.print(f"{mark} {finding.name:<12} {finding.message}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _document(finding: Any) -> dict[str, Any]:
    return {"check": finding.name, "ok": finding.ok, "message": finding.message}
