//! The signature vectors (made with viem from the well-known first anvil key), natively and in wasm: `make wasm` runs
//! this same file on wasm32, under tests/wasm.mjs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::string_slice)]

use edge402::evm::assets::default_asset;
use edge402::evm::eip3009::Authorization;
use edge402::evm::network::Network;
use edge402::evm::recover::{SignatureError, recover};
use edge402::evm::{Address, B256, U256};

const PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const STRUCT_HASH: &str = "0x009dcd424ce410509a7e6cfc1463575d18c6439223cb447d02b9e0bf48196d26";

struct Vector {
    chain_id: u64,
    separator: &'static str,
    digest: &'static str,
    signature: &'static str,
}

const VECTORS: [Vector; 2] = [
    Vector {
        chain_id: 84532,
        separator: "0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818",
        digest: "0x4f4985a0c4a7592c738a9d385dac72ed9932049a3a642b4923659213c54fa8c6",
        signature: "887688bfda2adc60488cb21d8355641dc7e6cae2acf979a4e510569110fbeb6912bfec8521359ee79ecbd2c6f8ba9ada97d499a910f5c0d4e274d0da99b8f3561c",
    },
    Vector {
        chain_id: 8453,
        separator: "0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f",
        digest: "0x8bad68561cdef1c3d7b20cd036f029b9d540810e1c3d9a9d34d26e32e080a6a4",
        signature: "1b0693e588dead80667495d6d1479ca3322807cb9868c14bb8ec49857c0e343751f7778e7fcdd2145e395a0954e3070e4d55f9369c5b382efb419b1c69d003c21b",
    },
];

/// The order of secp256k1.
const ORDER: &str = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

fn authorization() -> Authorization {
    Authorization {
        from: PAYER.parse().unwrap(),
        to: "0x209693Bc6afc0C5328bA36FaF03C514EF312287C".parse().unwrap(),
        value: U256::from(10_000),
        valid_after: U256::ZERO,
        valid_before: U256::from(1_740_672_154_u64),
        nonce: "0xf3746613c2d920b5fdabc0856f2aeb2d4f88ee6037b8cc5d04a71a4462f13480".parse().unwrap(),
    }
}

fn signature(text: &str) -> [u8; 65] {
    alloy_primitives::hex::decode(text).unwrap().try_into().unwrap()
}

/// Wasm has no output of its own: the host is told which test runs, which one passed, and why one panicked.
#[cfg(target_family = "wasm")]
mod host {
    #![allow(unsafe_code)]

    #[link(wasm_import_module = "host")]
    unsafe extern "C" {
        fn tell(text: *const u8, length: usize);
    }

    pub(crate) fn say(text: &str) {
        // SAFETY: the host reads `length` bytes from `text` while this call lasts, and keeps neither.
        unsafe { tell(text.as_ptr(), text.len()) }
    }
}

#[cfg(target_family = "wasm")]
struct Telling(&'static str);

#[cfg(target_family = "wasm")]
fn telling(test: &'static str) -> Telling {
    std::panic::set_hook(Box::new(move |panic| host::say(&format!("FAILED {test}: {panic}"))));
    Telling(test)
}

/// A panic is a trap in wasm, and drops nothing: what is dropped has passed.
#[cfg(target_family = "wasm")]
impl Drop for Telling {
    fn drop(&mut self) {
        host::say(&format!("ok {}", self.0));
    }
}

#[cfg(not(target_family = "wasm"))]
struct Telling;

#[cfg(not(target_family = "wasm"))]
const fn telling(_: &str) -> Telling {
    Telling
}

#[test]
fn typed_data_hashes_as_viem_hashes_it() {
    let _told = telling("typed_data_hashes_as_viem_hashes_it");
    assert_eq!(authorization().struct_hash().to_string(), STRUCT_HASH);
    for vector in &VECTORS {
        let asset = default_asset(Network::new(vector.chain_id)).unwrap();
        assert_eq!(asset.domain().separator().to_string(), vector.separator);
        assert_eq!(authorization().digest(&asset.domain()).to_string(), vector.digest);
    }
}

#[test]
fn signatures_recover_to_the_payer() {
    let _told = telling("signatures_recover_to_the_payer");
    for vector in &VECTORS {
        let signer = recover(vector.digest.parse().unwrap(), &signature(vector.signature));
        assert_eq!(signer, Ok(PAYER.parse::<Address>().unwrap()));
    }
}

#[test]
fn any_changed_field_recovers_to_somebody_else() {
    let _told = telling("any_changed_field_recovers_to_somebody_else");
    let asset = default_asset(Network::new(84532)).unwrap();
    let signed = signature(VECTORS[0].signature);
    let changes: [fn(&mut Authorization); 6] = [
        |a| a.from = Address::ZERO,
        |a| a.to = Address::ZERO,
        |a| a.value = U256::from(9_999),
        |a| a.valid_after = U256::from(1),
        |a| a.valid_before = U256::MAX,
        |a| a.nonce = B256::ZERO,
    ];
    for change in changes {
        let mut changed = authorization();
        change(&mut changed);
        assert_ne!(recover(changed.digest(&asset.domain()), &signed), Ok(PAYER.parse::<Address>().unwrap()));
    }
    let base = default_asset(Network::new(8453)).unwrap();
    assert_ne!(recover(authorization().digest(&base.domain()), &signed), Ok(PAYER.parse::<Address>().unwrap()));
}

#[test]
fn what_the_token_would_revert_is_refused() {
    let _told = telling("what_the_token_would_revert_is_refused");
    let digest: B256 = VECTORS[0].digest.parse().unwrap();
    let good = signature(VECTORS[0].signature);
    let order: U256 = ORDER.parse().unwrap();

    let mut high = good;
    let s = U256::from_be_slice(&good[32..64]);
    high[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
    high[64] = if good[64] == 27 { 28 } else { 27 };
    assert_eq!(recover(digest, &high), Err(SignatureError::HighS), "the malleable twin");

    for v in [0, 1, 26, 29, 255] {
        let mut odd = good;
        odd[64] = v;
        assert_eq!(recover(digest, &odd), Err(SignatureError::RecoveryByte), "v = {v}");
    }
    for range in [0..32, 32..64] {
        for value in [U256::ZERO, order, U256::MAX] {
            let mut odd = good;
            odd[range.clone()].copy_from_slice(&value.to_be_bytes::<32>());
            assert_eq!(recover(digest, &odd), Err(SignatureError::OutOfRange));
        }
    }
}
