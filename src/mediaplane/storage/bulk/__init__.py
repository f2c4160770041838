"""Many objects at once: copy, sync, list, count and remove, faster than one after the other and never half."""
