#!/bin/sh
# Runs OpenAI's clients for Go and Node against a served Orrery. Needs Go, Node
# (18 or newer) and npm.
set -eu
cd "$(dirname "$0")"
(cd node && npm ci --silent --no-fund --no-audit)
go vet ./...
go test -count=1 "$@" ./...
