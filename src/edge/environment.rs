//! The Worker's bindings as a [`Config`], validated once an isolate.

use super::log;
use crate::config::{Bindings, Config, Mistakes};
use crate::discovery::Catalogue;
use std::cell::OnceCell;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

thread_local! {
    // Plain data, made without awaiting anything: one request may keep it for the next. (A promise could not be kept so:
    // workerd hangs a request that awaits another's.)
    static CONFIG: OnceCell<Rc<Result<Config, Mistakes>>> = const { OnceCell::new() };
}

/// The configuration, with the parts that mistakes have closed; or all that is wrong with it.
pub(super) fn config(env: &Env) -> Rc<Result<Config, Mistakes>> {
    CONFIG.with(|cell| {
        Rc::clone(cell.get_or_init(|| {
            let resolved = Config::deployed(&bindings(env));
            let findings = resolved.as_ref().map_or_else(|mistakes| mistakes, |config| &config.findings);
            for mistake in findings.iter() {
                log::failure("configuration", &mistake.to_string());
            }
            for warning in findings.warnings() {
                log::warning("configuration", &warning.to_string());
            }
            Rc::new(resolved)
        }))
    })
}

/// `Link` to what the API is described by; nothing until there is a configuration, or where it is in disorder.
pub(super) fn links() -> Option<String> {
    CONFIG.with(|cell| Catalogue::links(cell.get()?.as_ref().as_ref().ok()?))
}

/// Texts, tables and lists as they are; of objects that are bindings, only that they are there.
fn bindings(env: &Env) -> Bindings {
    let object: &js_sys::Object = env.unchecked_ref();
    let mut bindings = Bindings::new();
    for name in js_sys::Object::keys(object).iter().filter_map(|name| name.as_string()) {
        let Ok(value) = js_sys::Reflect::get(object, &JsValue::from_str(&name)) else { continue };
        let value = js_sys::JSON::stringify(&value)
            .ok()
            .and_then(|text| text.as_string())
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(serde_json::Value::Null);
        bindings.insert(name, value);
    }
    bindings
}
