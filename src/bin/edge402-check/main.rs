//! `make check`: reads `wrangler.toml` and prints every mistake with its cure, or the resolved route table. The same code
//! decides in the Worker.
//!
//! Usage: `edge402-check [PATH] [--env NAME]`. Exit status: 0 in order, 1 mistakes, 2 nothing could be read.

#[cfg(not(target_family = "wasm"))]
mod report;

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    report::run()
}

// `cargo test` for wasm32 builds every binary of the package; this one has no work there.
#[cfg(target_family = "wasm")]
fn main() {}
