# Sourced by the other scripts: where things are, and how progress is shown. Nothing here has an effect of its own.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Outside the clone, so that a second clone (and a CI run in one) does not build the tools again.
CACHE=${EDGE402_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/edge402}
# Where cargo builds. CI sets it to a place outside its clone, so that dependencies are compiled once a machine.
TARGET=${EDGE402_TARGET:-$ROOT/target}
export CARGO_TARGET_DIR=$TARGET
# Not in the cache: two checkouts that set up at the same time would write into the same files.
LOGS=$TARGET/logs
mkdir -p "$CACHE/locks" "$LOGS"
export PATH="$HOME/.cargo/bin:$PATH"

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() { printf '\033[31merror:\033[0m %s\n' "$1" >&2; shift; for line in "$@"; do printf '  %s\n' "$line" >&2; done; exit 1; }

# run_quietly NAME COMMAND...: the output goes to a log, a line every ten seconds says that it lives and what it does,
# and on failure the end of the log is shown: a silent ten-minute build looks like a hang, a chatty one hides its error.
# What is done at once says nothing.
run_quietly() {
  local name=$1 log started=$SECONDS told=$SECONDS pid; shift
  log=$LOGS/$name.log
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.1
    if ((SECONDS - told >= 10)); then
      told=$SECONDS
      note "$((SECONDS - started)) s: $(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
    fi
  done
  if ! wait "$pid"; then
    tail -n 40 "$log" >&2
    die "$name failed" "the whole log: $log"
  fi
  ((SECONDS - started < 2)) || note "done in $((SECONDS - started)) s"
}

# alone NAME COMMAND...: one process on this machine at a time; others wait, and say so. What it guards is made in the
# cache, which all checkouts share: COMMAND looks first whether another has made it meanwhile.
alone() {
  local name=$1; shift
  # Without flock (not on Linux) each still builds in a folder of its own, and the last one to finish is the one that counts.
  if ! command -v flock >/dev/null; then "$@"; return; fi
  local held
  exec {held}>"$CACHE/locks/$name"
  if ! flock -n "$held"; then
    note "another set-up on this machine is at it ($name); waiting for it"
    flock "$held"
  fi
  "$@"
  exec {held}>&-
}

# The tool that binds the Worker's wasm to JavaScript (tools/bundle), in a folder for each state of its source.
bundle_tool() { echo "$CACHE/tools/bundle-$(cd "$ROOT/tools/bundle" && cat Cargo.toml Cargo.lock src/* | sha256sum | cut -c1-16)/edge402-bundle"; }

# What a wasm32 build needs in its environment; scripts/setup has found or made it.
wasm_environment() {
  [ -f "$CACHE/wasm.env" ] || die "the wasm32 toolchain is not set up" "run: make setup"
  source "$CACHE/wasm.env"
  # The wasm tests' runner.
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="node $ROOT/tests/wasm.mjs"
  # wasm-bindgen's macros then name `js_sys` for what `worker` does with futures, as `worker` expects of its build tool.
  export WASM_BINDGEN_USE_JS_SYS=1
  # One target folder a toolchain: two that share one throw each other's work away.
  export CARGO_TARGET_DIR=$TARGET/wasm
  if [ "$WASM_WAY" = debian ]; then
    # The second toolchain is not rustup's: its cargo and rustc stand first on the path.
    export PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc CARGO=/usr/bin/cargo
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$WASM_LINKER
    unset RUSTUP_TOOLCHAIN
  fi
}

# up_to_date FILE: whether FILE is newer than everything the Worker is built from.
up_to_date() {
  [ -f "$1" ] && [ -z "$(find "$ROOT/src" "$ROOT/Cargo.toml" "$ROOT/Cargo.lock" "$ROOT/package-lock.json" "$ROOT/scripts/build" "$ROOT/tools/bundle" -newer "$1" -print -quit)" ]
}
