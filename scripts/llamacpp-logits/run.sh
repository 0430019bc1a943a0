#!/bin/sh
# Compares an exported GGUF in llama.cpp with package nn: logits at every
# position, token ids of texts. Needs Go and npm; llama.cpp comes as the
# prebuilt libraries of a pinned npm package, into node_modules/ beside this
# script, which is also where the exported models go.
#
#   run.sh                 random models of several shapes
#   run.sh -model FOLDER   a trained one, as `orrery train` leaves it
set -eu
here=$(cd "$(dirname "$0")" && pwd)
model=
if [ "${1-}" = -model ]; then
	model=$(cd "$2" && pwd)
fi
cd "$here"
if [ "$(uname -sm)" != "Linux x86_64" ]; then
	echo "run.sh: the pinned libraries are for Linux on x86-64, this is $(uname -sm)" >&2
	exit 2
fi
npm install --silent --no-package-lock --no-fund --no-audit
lib=$here/node_modules/.lib
mkdir -p "$lib"
for f in node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/*.so; do
	name=$(basename "$f")
	ln -sf "$here/$f" "$lib/$name"
	# The binding opens libllama.so; the package has libllama.v0.5.0.so.
	ln -sf "$here/$f" "$lib/${name%%.*}.so"
done
if [ -n "$model" ]; then
	go run . -lib "$lib" -work node_modules/.models -model "$model"
else
	go run . -lib "$lib" -work node_modules/.models
fi
