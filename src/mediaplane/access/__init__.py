"""Who may put or get what, and for how long."""
