#!/bin/bash
# The bar at the top of the screen: a title and a clock that ticks every second.
printf '\033[?25l'
while true; do
    printf '\r  Quillmoor launch desk%*s' "$(($(tput cols) - 25))" "$(date +%H:%M:%S)  "
    sleep "0.$(printf '%03d' $((1000 - 10#$(date +%3N) - 1)))"
done
