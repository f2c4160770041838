"""Everything that decodes: child processes with limits, so that hostile media harms nobody."""
