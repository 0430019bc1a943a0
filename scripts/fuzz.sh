#!/usr/bin/env bash
# Runs every fuzz target for a time, at the lowest priority, and prints a table:
# target, seconds of the clock, seconds of CPU, executions, inputs that reached
# something new, crashes.
#   scripts/fuzz.sh [SECONDS] [PACKAGE…]   60 seconds each, of all packages
# FUZZ_CACHE is the folder where inputs are collected from run to run (default
# .fuzz in the user's cache folder); FUZZ_NICE the priority (19, the lowest).
# A crash leaves its input in the package's testdata/fuzz, where the target's
# next run as a test fails on it. Exit code 1 if there was one.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
cache=${FUZZ_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orrery-fuzz}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache"
printf '%-46s %8s %8s %12s %6s %8s\n' target seconds cpu executions new crashes
total=0 cpus=0 executed=0 bad=0 built=
while IFS=: read -r file func; do
	package=$(dirname "$file")
	if [ $# -gt 0 ] && [[ " $* " != *" ./$package "* ]]; then continue; fi
	if [ "$built" != "$package" ]; then # one instrumented binary a package
		rm -f "$work/fuzz.test"
		nice -n 5 go test -c -fuzz . -o "$work/fuzz.test" "./$package" >&2 || exit 1
		built=$package
	fi
	start=$(date +%s.%N)
	(
		cd "$package" || exit 1
		TIMEFORMAT='cpu %U %S'
		time nice -n "${FUZZ_NICE:-19}" "$work/fuzz.test" -test.run '^$' -test.fuzz "^$func\$" -test.fuzztime "${seconds}s" \
			-test.fuzzminimizetime 20x -test.parallel 1 -test.fuzzcachedir "$cache/$package"
	) >"$work/log" 2>&1
	code=$?
	took=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN{printf "%.0f", b-a}')
	cpu=$(awk '$1=="cpu"{printf "%.0f", $2+$3}' "$work/log")
	# The end of the time may meet the last execution: that is no crash.
	crashes=0
	if [ $code -ne 0 ] && grep -qE 'Failing input written|panic|unexpected|exit status|FAIL: ' "$work/log" && ! grep -q 'context deadline exceeded' "$work/log"; then
		crashes=1 bad=1
		cat "$work/log" >&2
	fi
	executions=$(grep -o 'execs: [0-9]*' "$work/log" | tail -1 | tr -dc 0-9)
	new=$(grep -o 'new interesting: [0-9]*' "$work/log" | tail -1 | tr -dc 0-9)
	printf '%-46s %8d %8d %12s %6s %8d\n' "$package $func" "$took" "$cpu" "${executions:-0}" "${new:-0}" $crashes
	total=$((total + took)) cpus=$((cpus + cpu)) executed=$((executed + ${executions:-0}))
done < <(git grep -n '^func Fuzz' -- '*_test.go' | sed -E 's/^([^:]*):[0-9]+:func (Fuzz[A-Za-z]*)\(.*/\1:\2/' | sort)
printf '%-46s %8d %8d %12d\n' total $total $cpus $executed
exit $bad
