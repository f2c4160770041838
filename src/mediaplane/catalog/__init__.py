"""Rows and named queries, one module a noun."""
