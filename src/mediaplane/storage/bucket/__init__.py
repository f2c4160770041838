"""Settings of a bucket as code: what the profile wants, what the server has, the difference, and how to mend it.

`rules` reads the profile, `wanted` makes S3's own words of it, `found` asks the server, `difference` compares,
`apply` changes only that; `policy` prints who needs which permission. Never called on the way of bytes.
"""
