//! `transferWithAuthorization` of [EIP-3009](https://eips.ethereum.org/EIPS/eip-3009): what an x402 buyer signs.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct};

mod typed {
    // The macro writes the struct's methods and its documentation is the standard's.
    #![allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction)]
    alloy_sol_types::sol! {
        #[derive(Debug, PartialEq, Eq)]
        struct TransferWithAuthorization {
            address from;
            address to;
            uint256 value;
            uint256 validAfter;
            uint256 validBefore;
            bytes32 nonce;
        }
    }
}

/// The six signed fields. They are all that a signature covers: not the resource, not the method, not the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Who pays.
    pub from: Address,
    /// Who is paid.
    pub to: Address,
    /// Atomic units.
    pub value: U256,
    /// Unix seconds; the token accepts it only strictly after.
    pub valid_after: U256,
    /// Unix seconds; the token accepts it only strictly before.
    pub valid_before: U256,
    /// Random, used up on chain when it settles; with network, asset and `from` it is the payment's identity.
    pub nonce: B256,
}

/// The EIP-712 domain of a token contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDomain<'a> {
    /// As the contract names itself; Base Sepolia's USDC says `USDC`, Base's says `USD Coin`.
    pub name: &'a str,
    /// As the contract says.
    pub version: &'a str,
    /// The EIP-155 chain id.
    pub chain_id: u64,
    /// The token.
    pub contract: Address,
}

impl TokenDomain<'_> {
    fn typed(&self) -> Eip712Domain {
        Eip712Domain::new(
            Some(self.name.to_owned().into()),
            Some(self.version.to_owned().into()),
            Some(U256::from(self.chain_id)),
            Some(self.contract),
            None,
        )
    }

    /// The domain separator.
    #[must_use]
    pub fn separator(&self) -> B256 {
        self.typed().separator()
    }
}

impl Authorization {
    const fn typed(&self) -> typed::TransferWithAuthorization {
        typed::TransferWithAuthorization {
            from: self.from,
            to: self.to,
            value: self.value,
            validAfter: self.valid_after,
            validBefore: self.valid_before,
            nonce: self.nonce,
        }
    }

    /// `hashStruct` of EIP-712.
    #[must_use]
    pub fn struct_hash(&self) -> B256 {
        self.typed().eip712_hash_struct()
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self, domain: &TokenDomain<'_>) -> B256 {
        self.typed().eip712_signing_hash(&domain.typed())
    }
}
