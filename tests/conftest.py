"""What all tests share: the services, and an orderly end when the run is terminated."""

import signal
from pathlib import Path

import hypothesis

_SERVICES = ("postgres", "s3")

pytest_plugins = [
    f"tests.services.{name}" for name in _SERVICES if (Path(__file__).parent / "services" / f"{name}.py").exists()
]


def pytest_configure() -> None:
    """Let SIGTERM (a timeout's, CI's) end the run as Ctrl-C does, so that fixtures stop their servers.

    SIGINT too, where a shell that started the run in the background has it ignored: children would inherit that.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)  # a busy machine is no fault
    hypothesis.settings.load_profile("untimed")
