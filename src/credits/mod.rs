//! Prepaid credits: an account that is bought with one payment and spent call by call.
//!
//! A key names its account and proves itself; the account counts; a holder (a wallet, or the operator) remembers what it has
//! bought. All of it is plain SQL over [`crate::ledger::sql::Sql`], one synchronous turn a command.

pub mod account;
pub mod holder;
pub mod key;
pub mod messages;
pub mod spend;
pub mod value;
pub mod view;

#[cfg(test)]
mod tests;
