//! Rules that hold for all sources: only `src/edge/` and `src/lib.rs` know the Workers runtime, secrets are compared in
//! constant time, and nothing but the configuration decides what is checked.

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

/// The lines of a source that compare what proves something in a way that tells how much of it was right.
fn compared_by_value(source: &str) -> Vec<&str> {
    const PROOFS: [&str; 4] = ["expose()", "tag(", "mac.", "shown.as_bytes()"];
    let compares =
        |line: &str| [" == ", " != ", ".eq(", ".ne(", "starts_with(", ".cmp("].iter().any(|by| line.contains(by));
    let code = source.lines().map(|line| line.split("//").next().unwrap_or(line));
    code.filter(|line| PROOFS.iter().any(|proof| line.contains(proof)) && compares(line)).collect()
}

#[test]
fn secrets_and_tags_are_compared_in_constant_time() {
    for path in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let found = fs::read_to_string(&path).unwrap();
        let lines = compared_by_value(&found);
        assert!(lines.is_empty(), "{} compares {lines:?}: use subtle's ct_eq", path.display());
    }
    // The check must be able to see what it looks for.
    assert_eq!(compared_by_value("if shown == token.expose() {").len(), 1);
    assert_eq!(compared_by_value("tag(secret, &name) != shown // tag").len(), 1);
    assert!(compared_by_value("shown.as_bytes().ct_eq(token.expose().as_bytes())").is_empty());
}

/// What a source is switched by when it is built, or reads from its process: words beside those that are known.
fn switches(source: &str) -> Vec<&str> {
    const KNOWN: [&str; 6] = [
        "#[cfg(test)]",
        "#[cfg(feature = \"edge\")]",
        "#[cfg(target_family = \"wasm\")]",
        "#[cfg(not(target_family = \"wasm\"))]",
        "#[cfg_attr(test, derive(PartialEq, Eq))]",
        "#![cfg_attr(test, allow(",
    ];
    let words = ["cfg(", "cfg!", "cfg_attr", "env!", "env::var", "debug_assertions"];
    let code = source.lines().map(|line| line.split("//").next().unwrap_or(line).trim());
    code.filter(|line| words.iter().any(|word| line.contains(word)))
        .filter(|line| !KNOWN.iter().any(|known| line.starts_with(known)))
        .collect()
}

#[test]
fn no_build_switch_and_no_environment_variable_turns_a_check_off() {
    for path in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let source = fs::read_to_string(&path).unwrap();
        let found = switches(&source);
        assert!(
            found.is_empty(),
            "{} has {found:?}: what is sold is decided by the configuration alone",
            path.display()
        );
    }
    assert_eq!(switches("#[cfg(feature = \"demo\")]\nif std::env::var(\"FREE\").is_ok() {").len(), 2);
    assert_eq!(switches("if cfg!(debug_assertions) {").len(), 1);
}
