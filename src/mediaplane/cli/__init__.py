"""The command line."""


def main() -> None:
    """Run the command line."""
    from mediaplane.cli import app, root

    root.run(app.app)


__all__ = ["main"]
