//! HTTP as this gateway is strict about it: one spelling of a path, headers that may pass, problems, CORS.

pub mod budget;
mod code;
pub mod cors;
pub mod headers;
pub mod multipart;
pub mod path;
pub mod problem;
pub mod redirect;
pub mod relay;
pub mod selection;
pub mod spoofed;
pub mod tolerant;
