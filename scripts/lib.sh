# Sourced by the other scripts: where things are, and how progress is shown. Nothing here has an effect of its own.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Outside the clone, so that a second clone (and a CI run in one) does not build the tools again.
CACHE=${EDGE402_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/edge402}
LOGS=$CACHE/logs
# Where cargo builds. CI sets it to a place outside its clone, so that dependencies are compiled once a machine.
TARGET=${EDGE402_TARGET:-$ROOT/target}
export CARGO_TARGET_DIR=$TARGET
mkdir -p "$CACHE" "$LOGS"
export PATH="$HOME/.cargo/bin:$PATH"

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() { printf '\033[31merror:\033[0m %s\n' "$1" >&2; shift; for line in "$@"; do printf '  %s\n' "$line" >&2; done; exit 1; }

# run_quietly NAME COMMAND...: the output goes to a log, a line every ten seconds says that it lives and what it does,
# and on failure the end of the log is shown: a silent ten-minute build looks like a hang, a chatty one hides its error.
run_quietly() {
  local name=$1 log started=$SECONDS pid; shift
  log=$LOGS/$name.log
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 1; kill -0 "$pid" 2>/dev/null || break; done
    kill -0 "$pid" 2>/dev/null && note "$((SECONDS - started)) s: $(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
  done
  if ! wait "$pid"; then
    tail -n 40 "$log" >&2
    die "$name failed" "the whole log: $log"
  fi
  note "done in $((SECONDS - started)) s"
}

# locked_version CRATE: the version that Cargo.lock has of it. wasm-bindgen's command line must be of its library's.
locked_version() { awk -v name="name = \"$1\"" '$0 == name {getline; gsub(/[^0-9.]/, ""); print}' "$ROOT/Cargo.lock"; }

# What a wasm32 build needs in its environment; scripts/setup has found or made it.
wasm_environment() {
  [ -f "$CACHE/wasm.env" ] || die "the wasm32 toolchain is not set up" "run: make setup"
  source "$CACHE/wasm.env"
  local bindgen tool
  bindgen=$(locked_version wasm-bindgen)
  tool=$CACHE/tools/wasm-bindgen-cli-$bindgen/bin/wasm-bindgen
  [ -x "$tool" ] || die "wasm-bindgen $bindgen is not set up" "run: make setup"
  export WASM_BINDGEN_BIN=$tool
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=${tool}-test-runner
  export WASM_OPT_BIN=$ROOT/node_modules/.bin/wasm-opt ESBUILD_BIN=$ROOT/node_modules/.bin/esbuild
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
  [ -f "$1" ] && [ -z "$(find "$ROOT/src" "$ROOT/Cargo.toml" "$ROOT/Cargo.lock" "$ROOT/package-lock.json" "$ROOT/scripts/build" -newer "$1" -print -quit)" ]
}
