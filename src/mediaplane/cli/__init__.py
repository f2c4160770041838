"""The command line."""

import sys


def main() -> None:
    """Run the command line; transfers load only what moves bytes, as everything else takes a second to load."""
    from mediaplane.cli import root

    words = root.first_words(sys.argv[1:])
    if words[:1] == ("s3",):
        from mediaplane.cli import s3

        if words[1:] and words[1] in s3.NAMES:
            app = root.new_app()
            app.add_typer(s3.app, name="s3")
            root.run(app)
            return
    from mediaplane.cli.app import app as whole

    root.run(whole)


__all__ = ["main"]
