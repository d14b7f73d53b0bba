//! The rule that keeps it a house and not a heap: only `src/edge/` and `src/lib.rs` know the Workers runtime.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::string_slice)]
#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::path::{Path, PathBuf};

/// The runtime, by any of the crates that it is reached through.
const RUNTIME: [&str; 6] = ["worker", "worker_sys", "web_sys", "js_sys", "wasm_bindgen", "wasm_bindgen_futures"];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The crates of the runtime that a source names outside its comments.
fn named(source: &str) -> Vec<&'static str> {
    let code: String =
        source.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n");
    let words: Vec<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    RUNTIME.into_iter().filter(|name| words.contains(name)).collect()
}

#[test]
fn only_the_edge_knows_the_runtime() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&src);
    let (edge, rest): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| path.starts_with(src.join("edge")) || *path == src.join("lib.rs"));
    assert!(rest.len() > 20, "the sources are not where this test looks");
    for path in rest {
        let found = named(&fs::read_to_string(&path).unwrap());
        assert!(found.is_empty(), "{} names {found:?}; only src/edge/ and src/lib.rs may", path.display());
    }
    // The check must be able to see what it looks for.
    assert!(edge.iter().any(|path| named(&fs::read_to_string(path).unwrap()).contains(&"worker")));
}

#[test]
fn naming_the_runtime_is_noticed_and_talking_about_it_is_not() {
    assert_eq!(named("use worker::Env;"), ["worker"]);
    assert_eq!(named("fn f() -> web_sys::Request {}"), ["web_sys"]);
    assert!(named("/// The worker crate.\nfn coworker() {} // worker").is_empty());
}

#[test]
fn no_file_is_two_things() {
    for path in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 450, "{} has {lines} lines: it is usually two things", path.display());
    }
}
