#!/bin/bash
# The last command of the demo: a short, made-up health report.
printf '\033[32m%s\033[0m\n' 'north-2 is healthy again and every mirror answers'
sleep 0.4
printf '%s\n' 'studio plan now costs 39.99 EUR'
sleep 0.4
printf '%s\n' 'thank you @mira.tolland and @otto.field'
