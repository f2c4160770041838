"""`mediaplane`: all its commands.

Exit status 0 done, 1 failed, 2 wrong usage. `--json` prints one JSON document on standard output and nothing else.
"""

from mediaplane.cli import (
    assets,
    audit,
    bucket,
    checks,
    clips,
    compatibility,
    highlights,
    ingest,
    keys,
    notices,
    plans,
    purging,
    replaying,
    review,
    s3,
    searching,
    services,
    submissions,
    tasks,
    urls,
    webhooks,
)
from mediaplane.cli.root import new_app

app = new_app()

for command in (
    services.up,
    services.serve,
    services.worker,
    ingest.ingest,
    ingest.scan,
    assets.ls,
    assets.show,
    searching.search,
    clips.clip,
    highlights.highlights,
    replaying.replay,
    urls.url,
    assets.rm,
    purging.purge,
    checks.config,
    checks.doctor,
):
    app.command()(command)
app.command(name="usage")(plans.show_usage)
app.add_typer(plans.app)
app.add_typer(bucket.app)
app.add_typer(keys.app)
app.add_typer(audit.app)
app.add_typer(webhooks.app)
app.add_typer(tasks.app)
app.add_typer(submissions.app)
app.add_typer(review.app)
app.add_typer(notices.app)
s3.app.command()(compatibility.compat)
app.add_typer(s3.app, name="s3")
