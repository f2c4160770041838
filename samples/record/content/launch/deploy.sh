#!/bin/bash
# Plays deploy.log.txt: each line is "seconds to wait after it|colour, or r to be overwritten|text".
while IFS='|' read -r pause colour text; do
    if [ "$colour" = r ]; then
        printf '\r\033[K\033[33m%s\033[0m  ' "$text"
        sleep "$pause"
        printf '\r\033[K'
    else
        printf '\033[%sm%s\033[0m\n' "$colour" "$text"
        sleep "$pause"
    fi
done < deploy.log.txt
