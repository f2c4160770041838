"""Search: a query in, ranked moments out."""
