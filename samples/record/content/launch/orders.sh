#!/bin/bash
# The small window on the right: one made-up shop event every couple of seconds.
printf '\033[?25lLive orders today\n\n'
while IFS= read -r event; do
    printf '%s\n' "$event"
    sleep 2.2
done < orders.txt
sleep 600
