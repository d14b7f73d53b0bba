//! Who is paid, of all that is sold, where that cannot be meant.

use super::mistakes::Mistakes;
use super::route::Terms;
use crate::evm::Address;
use crate::evm::assets::{default_asset, known_networks};
use alloy_primitives::address;

/// The address of the sample configuration, and of half the examples of the field: whose it is, nobody here knows.
const SAMPLE: Address = address!("209693Bc6afc0C5328bA36FaF03C514EF312287C");

/// A token's contract keeps what it is sent for ever, and so does whoever owns the address of an example.
pub(super) fn check<'a>(
    sold: impl Iterator<Item = (String, &'a Terms)>,
    everybody: Option<Address>,
    in_a_file: bool,
    mistakes: &mut Mistakes,
) {
    let mut named = Vec::new();
    for (path, terms) in sold {
        for requirement in &terms.requirements {
            let (pay_to, asset) = (requirement.pay_to, &requirement.asset);
            let token = known_networks().filter_map(default_asset).any(|known| known.address == pay_to);
            let problem = if token || asset.address == pay_to {
                "is a token's contract: what is sent there is lost"
            } else if in_a_file && pay_to == SAMPLE && asset.network.is_live() {
                "is the example's address, and this is real money"
            } else {
                continue;
            };
            // Once, however much is sold for it.
            if !named.contains(&pay_to) {
                named.push(pay_to);
                let path = if everybody == Some(pay_to) { "PAY_TO".to_owned() } else { format!("{path}.pay_to") };
                mistakes.add(path, problem, "write an address of your own");
            }
        }
    }
}
