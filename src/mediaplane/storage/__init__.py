"""Bytes in and out of one bucket."""
