//! The scripts that build edge402, where a mistake would show on another machine or at another time only.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn locked_version(lock: &str, name: &str) -> String {
    let text = fs::read_to_string(Path::new(ROOT).join(lock)).unwrap();
    let mut lines = text.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    lines.nth(1).unwrap_or_else(|| panic!("{lock} has no {name}")).replace("version = ", "")
}

#[test]
fn the_bundle_tool_is_of_the_workers_wasm_bindgen() {
    assert_eq!(
        locked_version("tools/bundle/Cargo.lock", "wasm-bindgen-cli-support"),
        locked_version("Cargo.lock", "wasm-bindgen"),
        "change the version in tools/bundle/Cargo.toml and run: cargo update --manifest-path tools/bundle/Cargo.toml"
    );
}

/// Two checkouts that share a cache, and a cargo that takes a second and notices when its folder goes away meanwhile.
struct Machine(PathBuf);

impl Machine {
    fn new(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let machine = Self(folder);
        for checkout in ["first", "second"] {
            for part in ["scripts", "tools/bundle/src"] {
                let to = machine.0.join(checkout).join(part);
                fs::create_dir_all(&to).unwrap();
                for entry in fs::read_dir(Path::new(ROOT).join(part)).unwrap() {
                    let from = entry.unwrap().path();
                    fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
                }
            }
            for file in ["tools/bundle/Cargo.toml", "tools/bundle/Cargo.lock", "rust-toolchain.toml"] {
                fs::copy(Path::new(ROOT).join(file), machine.0.join(checkout).join(file)).unwrap();
            }
        }
        machine.program("rustc", "exit 0");
        machine.program(
            "cargo",
            r#"echo "$1" >>"$HOME/cargo"
while [ "$1" != --target-dir ]; do shift; done
mkdir -p "$2/debug"; sleep 1
echo tool >"$2/debug/edge402-bundle" && chmod +x "$2/debug/edge402-bundle""#,
        );
        machine
    }

    fn program(&self, name: &str, text: &str) {
        let folder = self.0.join(".cargo/bin");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/bash\nset -e\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn set_up(&self, checkout: &str) -> Child {
        Command::new(self.0.join(checkout).join("scripts/setup"))
            .arg("bundler")
            .env("HOME", &self.0)
            .env("EDGE402_CACHE", self.0.join("cache"))
            .env_remove("EDGE402_TARGET")
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn tools(&self) -> Vec<PathBuf> {
        fs::read_dir(self.0.join("cache/tools")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn two_checkouts_set_up_at_the_same_time_and_build_a_tool_once() {
    let machine = Machine::new("at-once");
    let mut both = [machine.set_up("first"), machine.set_up("second")];
    for child in &mut both {
        assert!(child.wait().unwrap().success());
    }
    let tools = machine.tools();
    assert_eq!(tools.len(), 1, "a work folder was left: {tools:?}");
    assert_eq!(fs::read_to_string(tools[0].join("edge402-bundle")).unwrap(), "tool\n");
    assert_eq!(fs::read_to_string(machine.0.join("cargo")).unwrap(), "test\nbuild\n");
}

#[test]
fn what_a_killed_set_up_has_left_is_removed_and_a_living_ones_folder_stays() {
    let machine = Machine::new("killed");
    let mut ended = Command::new("true").spawn().unwrap();
    let (dead, living) = (ended.id(), std::process::id());
    ended.wait().unwrap();
    for owner in [dead, living] {
        fs::create_dir_all(machine.0.join(format!("cache/tools/.work-bundle.{owner}/debug"))).unwrap();
    }
    assert!(machine.set_up("first").wait().unwrap().success());
    assert!(!machine.0.join(format!("cache/tools/.work-bundle.{dead}")).exists());
    assert!(machine.0.join(format!("cache/tools/.work-bundle.{living}")).exists());
}
