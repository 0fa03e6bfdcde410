#!/bin/sh
# Sees that Coq refuses false statements: controls.sh COMMAND FILE...
#
# COMMAND compiles a file. A file proves the true statement, refutes the false one, and
# then tries to prove it with the same script: its last proof must fail, with the error
# that the file names in a line (* must fail: REGULAR EXPRESSION *).
set -u

compile=$1
shift
test $# -gt 0 || { echo "there are no controls"; exit 1; }

for file; do
  expected=$(sed -nE 's/^\(\* must fail: (.*[^ ]) *\*\)$/\1/p' "$file")
  last=$(grep -n '^Proof' "$file" | tail -n 1 | cut -d : -f 1)
  if test -z "$expected"; then
    echo "$file does not say how it must fail"
    exit 1
  fi
  if output=$($compile "$file" 2>&1); then
    echo "$file compiles, and must not"
    exit 1
  fi
  line=$(printf '%s\n' "$output" | sed -nE 's/^File .*, line ([0-9]+),.*/\1/p' | tail -n 1)
  if test "${line:-0}" -ge "$last" &&
    printf '%s' "$output" | tr '\n' ' ' | tr -s ' ' | grep -qE -- "$expected"; then
    echo "refused: $file"
  else
    echo "$file fails, but not in its last proof with: $expected"
    printf '%s\n' "$output"
    exit 1
  fi
done
