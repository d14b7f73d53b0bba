//! The module that the Workers runtime is given: the entry class, one export for each class of the Worker, and a new
//! instance of the wasm after a trap.

const TEMPLATE: &str = include_str!("shim.js");

/// What wasm-bindgen exports for the shim, and not for the runtime.
const INTERNAL: [&str; 2] = ["__wbg_reset_state", "__worker_init_state"];

/// Handlers that `worker` wants the environment and the context for, and that the runtime calls with one argument.
const EVENTS: [&str; 5] = ["fetch", "queue", "scheduled", "email", "connect"];

/// The shim for what wasm-bindgen has written.
pub fn shim(bound: &str) -> Result<String, String> {
    let functions = exported(bound, "function");
    let classes = exported(bound, "class");
    for name in INTERNAL {
        if !functions.contains(&name) {
            return Err(format!("the module does not export {name}: the Worker would not recover from a trap"));
        }
    }
    let handlers: Vec<&str> = functions.into_iter().filter(|name| !INTERNAL.contains(name)).collect();
    if !handlers.contains(&"fetch") {
        return Err("the module does not export `fetch`".to_owned());
    }
    if let Some(other) = handlers.iter().find(|name| !EVENTS.contains(name)) {
        return Err(format!("the module exports `{other}`, which is no event of the runtime"));
    }
    let mut text = TEMPLATE.to_owned();
    for name in handlers {
        text += &format!(
            "Entrypoint.prototype.{name} = function {name}(event) {{\n  return exports.{name}.call(this, event, this.env, this.ctx);\n}};\n"
        );
    }
    for name in classes {
        text += &format!("export const {name} = new Proxy(exports.{name}, recovering);\n");
    }
    Ok(text)
}

/// The names of the exported functions or classes.
fn exported<'a>(bound: &'a str, kind: &str) -> Vec<&'a str> {
    bound
        .lines()
        .filter_map(|line| {
            let declared = line.strip_prefix("export ")?;
            let declared = declared.strip_prefix("async ").unwrap_or(declared);
            let rest = declared.strip_prefix(kind)?.strip_prefix(' ')?;
            rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$')).next()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{exported, shim};

    const BOUND: &str = "export class Payer {\n}\nexport class Account {\n}\nclass Inner {}\nexport function fetch(a, b, c) {\n}\n\
                         export function __wbg_reset_state () {\n}\nexport function __worker_init_state() {\n}\n";

    #[test]
    fn exports_are_found_by_their_kind() {
        assert_eq!(exported(BOUND, "class"), ["Payer", "Account"]);
        assert_eq!(exported(BOUND, "function"), ["fetch", "__wbg_reset_state", "__worker_init_state"]);
    }

    #[test]
    fn every_class_and_the_handler_are_exported_to_the_runtime() {
        let text = shim(BOUND).unwrap();
        assert!(text.contains("export const Payer = new Proxy(exports.Payer, recovering);"));
        assert!(text.contains("export const Account = new Proxy(exports.Account, recovering);"));
        assert!(text.contains("Entrypoint.prototype.fetch = function fetch(event)"));
        assert!(!text.contains("prototype.__"));
    }

    #[test]
    fn a_module_that_cannot_recover_or_has_no_handler_is_refused() {
        assert!(shim(&BOUND.replace("__wbg_reset_state", "other")).is_err());
        assert!(shim(&BOUND.replace("function fetch", "function serve")).is_err());
        assert!(shim(&format!("{BOUND}export function hello() {{}}\n")).is_err());
    }
}
