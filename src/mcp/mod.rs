//! MCP over HTTP, as far as money goes: which message is a call, what it pays with, and what its answer looks like
//! (the protocol's revision 2025-11-25, transport "Streamable HTTP").

pub mod answer;
pub mod call;
pub mod listing;
pub mod message;
pub mod schema;
pub mod stream;
pub mod tools;

/// The revision that is spoken unless a client asks for an older one.
pub const LATEST: &str = "2025-11-25";
/// All that are spoken: for tools over plain JSON answers they are the same.
pub const SPOKEN: [&str; 4] = [LATEST, "2025-06-18", "2025-03-26", "2024-11-05"];
/// The payment, in a call's `_meta`.
pub const PAYMENT: &str = "x402/payment";
/// The receipt, in a result's `_meta`.
pub const RECEIPT: &str = "x402/payment-response";
/// The price or a refusal again, in a result's `_meta`: Cloudflare's `agents` and Vercel's `x402-mcp` read it there.
pub const ERROR: &str = "x402/error";
/// What credits were charged, in a result's `_meta`.
pub const CREDITS: &str = "edge402/credits";
