"""`mediaplane`: all its commands, each loaded when it is called.

Exit status 0 done, 1 failed, 2 wrong usage. `--json` prints one JSON document on standard output and nothing else.
"""

from mediaplane.cli.later import add_later
from mediaplane.cli.root import new_app

# Name, where the code stands, and the line in the list of commands: the first sentence that the code says of itself.
COMMANDS = (
    ("up", "services.up", "Run everything here: PostgreSQL, object store, gateway and worker, until Ctrl-C."),
    ("serve", "services.serve", "Run the gateway alone."),
    ("worker", "services.worker", "Run a worker alone; as many as you like may share one database."),
    ("ingest", "ingest.ingest", "Put recordings in and wait until their words can be found."),
    ("scan", "ingest.scan", "Find originals that were put into the bucket by hand."),
    ("ls", "assets.ls", "List assets, newest first."),
    (
        "show",
        "assets.show",
        "Show an asset: what it is, its text over time, its objects with sizes, its stages, its clips.",
    ),
    ("search", "searching.search", "Find the moments in which words can be read or heard."),
    ("clip", "clips.clip", "Cut a piece out of an asset; the same piece asked for twice is made once."),
    ("highlights", "highlights.highlights", "Show an asset's highlights, store others, or cut clips of them."),
    (
        "replay",
        "replaying.replay",
        (
            "Work on an asset again with other parameters: what does not depend on them is reused, "
            "what failed is tried again."
        ),
    ),
    (
        "url",
        "urls.url",
        "Print URLs that play assets in any HLS player, or that give one of their objects; a line each.",
    ),
    ("rm", "assets.rm", "Delete assets: the rows at once, the bytes right behind them."),
    (
        "purge",
        "purging.purge",
        "Remove an asset, or all that an owner has, rows and bytes, and print the receipt; asked again it goes on.",
    ),
    ("config", "checks.config", "Print the effective settings, secrets masked, and where each came from."),
    (
        "doctor",
        "checks.doctor",
        "Check database, migrations, stores, buckets, ffmpeg, OCR, disk and clock; say what is wrong and what to do.",
    ),
    ("usage", "plans.show_usage", "Show what owners use of what they may use, or check that it was counted rightly."),
    ("plan", "plans.app", "Plans: who may use how much."),
    ("bucket", "bucket.app", "Settings of buckets as code: the profile says what they are to be like."),
    ("key", "keys.app", "API keys of the gateway: make, list, revoke."),
    ("audit", "audit.app", "The record of who did what: prove it, export it."),
    ("webhook", "webhooks.app", "Tell other servers of events: add, ls, rm, log, replay."),
    ("task", "tasks.app", "Tasks for contributors: add, ls, show, change, close, reopen."),
    ("submission", "submissions.app", "What was sent in for tasks: ls, show."),
    (
        "review",
        "review.app",
        "Review what was sent in: queue, next, renew, release, approve, reject, return, link, links, revoke.",
    ),
    ("notices", "notices.app", "What buckets tell of new objects: poll."),
    ("s3", "s3.app", "Move, compare, count and remove objects: s3://bucket/key and local paths."),
)

app = new_app()
for name, place, line in COMMANDS:
    add_later(app, name, place, line)
