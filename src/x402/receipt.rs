//! `SettlementResponse`: what the buyer is told about the money (x402 version 2, section 5.3).

use super::encode_header;
use super::payment::Dialect;
use crate::evm::Address;
use crate::evm::network::Network;
use crate::http::headers::{PAYMENT_RESPONSE, X_PAYMENT_RESPONSE};
use crate::ledger::authorization::{Evidence, Movement};
use serde_json::{Value, json};

/// What became of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Where.
    pub network: Network,
    /// Who paid.
    pub payer: Address,
    /// How it went.
    pub result: Settlement,
}

/// How a settlement went, as far as a buyer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Money moved.
    Settled(Movement),
    /// It did not, for this reason.
    Failed {
        /// The facilitator's code.
        reason: String,
        /// A transaction that was sent and is not final, else empty.
        transaction: String,
    },
}

impl Receipt {
    fn to_json(&self, network: &str) -> Value {
        let payer = self.payer.to_checksum(None);
        match &self.result {
            Settlement::Settled(Movement { transaction, evidence }) => {
                let transaction = transaction.as_deref().unwrap_or_default();
                let mut receipt =
                    json!({ "success": true, "transaction": transaction, "network": network, "payer": payer });
                if let (Evidence::Unproven, Value::Object(members)) = (evidence, &mut receipt) {
                    // The facilitator said "used" after an attempt of ours, and nobody could look at the chain.
                    members.insert("extra".to_owned(), json!({ "evidence": evidence.as_str() }));
                }
                receipt
            }
            Settlement::Failed { reason, transaction } => json!({
                "success": false, "errorReason": reason, "transaction": transaction, "network": network, "payer": payer,
            }),
        }
    }

    /// The headers that a client of this dialect looks for.
    #[must_use]
    pub fn headers(&self, dialect: Dialect) -> Vec<(&'static str, String)> {
        let v2 = encode_header(&self.to_json(&self.network.to_string()));
        match dialect {
            Dialect::V2 => vec![(PAYMENT_RESPONSE, v2)],
            Dialect::V2InXPayment => vec![(PAYMENT_RESPONSE, v2.clone()), (X_PAYMENT_RESPONSE, v2)],
            Dialect::V1 => {
                let name = self.network.v1_name().map_or_else(|| self.network.to_string(), ToOwned::to_owned);
                vec![(X_PAYMENT_RESPONSE, encode_header(&self.to_json(&name)))]
            }
        }
    }
}
