"""HTTP: the API under /v1, playlists, and the bytes of local stores."""
