//! What is Ethereum's: typed data (EIP-712), EIP-3009 authorizations, signature recovery, known assets and networks.

pub mod assets;
pub mod chains;
pub mod eip3009;
pub mod network;
pub mod proof;
pub mod recover;

pub use alloy_primitives::{Address, B256, U256};
