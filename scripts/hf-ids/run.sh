#!/bin/sh
# Checks that the tokenizer.json of package token gives the same ids in Hugging
# Face's tokenizers library (its JavaScript edition). Needs Go, Node and npm;
# everything it makes lies in node_modules/ beside it.
set -eu
cd "$(dirname "$0")"
npm install --silent --no-package-lock --no-fund --no-audit
rm -rf node_modules/.examples
go run . node_modules/.examples
node check.mjs node_modules/.examples
