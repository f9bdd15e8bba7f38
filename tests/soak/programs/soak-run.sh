#!/bin/sh
# SPDX-License-Identifier: MIT
#
# soak-run SIGNAL SECONDS PROGRAM... - runs a program and, after so long, sends it the signal (none, TERM, KILL; STOP: with CONT as long after that). Its
# last line, "soak-run: N", has the program's exit status, with 128 + the signal's number where one ended it.
signal=$1
seconds=$2
shift 2
"$@" &
pid=$!
if [ "$signal" != none ]; then
	sleep "$seconds"
	kill -"$signal" $pid 2>/dev/null
	[ "$signal" != STOP ] || { sleep "$seconds"; kill -CONT $pid 2>/dev/null; }
fi
wait $pid
echo "soak-run: $?"
