"""Keeping stores and catalog in step: scanner, deletion, sweeping."""
