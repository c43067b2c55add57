#!/bin/sh
# Runs the example on the small real model; both ways must give the same known text.
# Exit code 77 tells Meson that the golden data is not there.
model=${HEARTH_TESTDATA:-$HEARTH_SOURCE_ROOT/../shared/testdata}/models/stories260K/stories260K.gguf
[ -f "$model" ] || { echo "SKIPPED: golden data '$model' is not there"; exit 77; }
out=$("$1" "$model" "Once upon a time") || exit 1
echo "$out"
expected=', there was a little girl named Lily.'
[ "$(echo "$out" | grep -cF "$expected")" = 2 ]
