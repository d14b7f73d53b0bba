//! `edge402-bundle WASM FOLDER`: binds the compiled Worker to JavaScript and writes into FOLDER what esbuild bundles:
//! `index_bg.wasm`, `index.js` and `shim.js`, the module that the Workers runtime is given.
//!
//! `edge402-bundle --names WASM NAMES`: takes the functions' names out of WASM and writes them into NAMES, a line a
//! function.

mod names;
mod shim;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use wasm_bindgen_cli_support::Bindgen;

type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["--names", wasm, names] => take_names(Path::new(wasm), Path::new(names)),
        [wasm, folder] => bind(Path::new(wasm), Path::new(folder)),
        _ => Err("usage: edge402-bundle WASM FOLDER | --names WASM NAMES".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge402-bundle: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bind(wasm: &Path, folder: &Path) -> Outcome {
    let failed = |error| format!("{}: {error:#}", wasm.display());
    let mut bindgen = Bindgen::new();
    // `__wbg_reset_state` replaces the instance after a trap. The abort handler refuses calls into a dead instance, which
    // a build with panic=abort otherwise goes without.
    bindgen
        .module(true)
        .map_err(failed)?
        .input_path(wasm)
        .out_name("index")
        .typescript(false)
        .omit_default_module_path(false)
        .reset_state_function(true)
        .force_enable_abort_handler(true);
    let mut output = bindgen.generate_output().map_err(failed)?;
    let shim = shim::shim(output.js())?;
    output.emit(folder).map_err(failed)?;
    write(&folder.join("shim.js"), shim.as_bytes())
}

fn take_names(wasm: &Path, names: &Path) -> Outcome {
    let bytes = fs::read(wasm).map_err(|error| format!("{}: {error}", wasm.display()))?;
    let (rest, text) =
        names::split(&bytes).ok_or_else(|| format!("{}: not a module that can be read", wasm.display()))?;
    write(wasm, &rest)?;
    write(names, text.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
