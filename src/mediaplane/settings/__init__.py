"""What this process was told: environment and profile, read once, frozen.

Order, first wins: environment variable of the process role (`WORKER_S3_SECRET_ACCESS_KEY`), environment
variable, `[environments.NAME]` of the profile for `MEDIAPLANE_ENV`, profile, default. Many settings may be given by
other names as well (`environment.py`). A profile is a TOML file (`profile.py`); the shipped ones are named by
`MEDIAPLANE_PROFILE`, others given as a path.
"""

from mediaplane.settings.declared import PROVIDER_NAMES, Settings
from mediaplane.settings.loading import load_settings
from mediaplane.settings.shown import describe, other_names

__all__ = ["PROVIDER_NAMES", "ROLES", "Settings", "describe", "load_settings", "other_names"]

ROLES = ("gateway", "worker", "scanner")
