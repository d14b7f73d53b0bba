//! A facilitator's answer: never a panic, and "settled" only with everything that makes it so.
#![no_main]

use edge402::evm::network::Network;
use edge402::evm::Address;
use edge402::x402::facilitator::{Expected, Outcome, Said, read_settlement, read_verification};
use edge402::x402::supported::read_supported;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (status, body) = input;
    let expected = Expected { payer: Address::repeat_byte(7), network: Network::new(84532) };
    let _ = read_verification(status, body, expected);
    let _ = read_supported(status, body);
    if let Said::Decided(Outcome::Settled(transaction)) = read_settlement(status, body, expected) {
        assert!((200..300).contains(&status) && !transaction.is_empty());
        let text = String::from_utf8_lossy(body);
        assert!(text.contains("success") && text.contains("true"));
    }
});
