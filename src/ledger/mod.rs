//! The rules of money as pure state machines. Nothing here stores or schedules: a Durable Object does, and does no more.

pub mod authorization;
pub mod messages;
