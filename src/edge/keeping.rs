//! Answers that are kept for a while, for a buyer who asks again with its payment's identifier.

use super::claims::Granted;
use super::goods::Served;
use super::sale::Sale;
use super::{now, replay};
use crate::ledger::messages::Kept;

impl Sale<'_> {
    /// What is kept of an answer for whoever shows its identifier: what is in hand whole, what streams as it streams.
    pub(super) fn kept(&self, served: &Served) -> Option<Kept> {
        if self.identified.is_none() || self.charge.terms.replay_seconds == 0 {
            return None;
        }
        if let Some(answer) = served.in_hand(self.kept_until()) {
            return Some(Kept::Answer(answer));
        }
        served.can_be_copied().then(|| Kept::Copying(now().saturating_add(u64::from(replay::COPY_SECONDS))))
    }

    fn kept_until(&self) -> u64 {
        now().saturating_add(u64::from(self.charge.terms.replay_seconds))
    }

    /// Makes the copy that was announced, beside the client's.
    pub(super) fn copy(&self, claim: &Granted, served: &mut Served) {
        let Some(copy) = served.copy(self.kept_until()) else { return };
        let claim = claim.clone();
        self.context.wait_until(async move {
            claim.store(copy.await).await;
        });
    }
}
