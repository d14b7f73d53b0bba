//! The key for facilitators that say `auth = "cdp"`: two secrets, and one key for all of them.

use super::bindings::{self, Bindings};
use super::mistakes::Mistakes;
use crate::x402::cdp::CdpKey;
use serde_json::Value;

const ID: &str = "CDP_API_KEY_ID";
const SECRET: &str = "CDP_API_KEY_SECRET";

/// Whether the secrets can be seen from where the configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrets {
    /// In the Worker: what is not set is missing.
    Bound,
    /// Before a deployment: they are Cloudflare's to keep, and stand in no file.
    Elsewhere,
}

/// Reads the key if a facilitator of the list wants it. Where secrets are kept elsewhere, their names go to `unseen`.
pub(super) fn key(
    bindings: &Bindings,
    facilitators: &[(String, Value)],
    secrets: Secrets,
    unseen: &mut Vec<&'static str>,
    mistakes: &mut Mistakes,
) -> Option<CdpKey> {
    let auth = |value: &Value| value.get("auth").cloned();
    let Some((user, _)) = facilitators.iter().find(|(_, value)| auth(value).is_some_and(|way| way == "cdp")) else {
        // A way that nobody knows is a mistake of its own, and may well be a slip for this one.
        if !facilitators.iter().any(|(_, value)| auth(value).is_some()) {
            unused(bindings, mistakes);
        }
        return None;
    };
    for name in [ID, SECRET].into_iter().filter(|name| !bindings.contains_key(*name)) {
        match secrets {
            Secrets::Elsewhere => unseen.push(name),
            Secrets::Bound => mistakes.add(
                name,
                format!("is missing, and {user} says auth = \"cdp\""),
                format!("set it as a secret: npx wrangler secret put {name}"),
            ),
        }
    }
    let id = bindings::text(bindings, ID, mistakes);
    let secret = bindings::text(bindings, SECRET, mistakes);
    match CdpKey::new(id?, secret?) {
        Ok(key) => Some(key),
        Err(error) => {
            mistakes.add(if error.is_of_id() { ID } else { SECRET }, error.to_string(), error.cure());
            None
        }
    }
}

/// A key that no facilitator uses changes nothing. It may stand there before the facilitator that will use it.
fn unused(bindings: &Bindings, mistakes: &mut Mistakes) {
    for name in [ID, SECRET].into_iter().filter(|name| bindings.contains_key(*name)) {
        mistakes.warn(
            name,
            "is set, and no facilitator uses it",
            "write { url = \"https://…\", auth = \"cdp\" } in FACILITATORS, or remove it",
        );
    }
}
