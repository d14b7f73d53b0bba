//! One JSON line per decision: ids, route, code, payer and transaction; never a header, a key or a body.

use serde_json::{Value, json};
use worker::{console_error, console_log, console_warn};

/// What was decided about a request.
pub(super) fn decision(what: &str, route: &str, details: &Value) {
    console_log!("{}", json!({ "event": what, "route": route, "details": details }));
}

/// What changes nothing, and is worth a look.
pub(super) fn warning(what: &str, detail: &str) {
    console_warn!("{}", json!({ "event": "warning", "what": what, "detail": detail }));
}

/// What went wrong inside. The outside gets a code.
pub(super) fn failure(what: &str, detail: &str) {
    console_error!("{}", json!({ "event": "failure", "what": what, "detail": detail }));
}
