"""The command line."""

from mediaplane.cli.app import main

__all__ = ["main"]
