"""What is true of media without touching any: ids, keys, timecodes, playlists, words."""
