//! A wallet that cannot pay for what it has had.

use super::*;
use crate::ledger::outcome::after_attempt;
use crate::x402::facilitator::Outcome;

const POOR: &str = "insufficient_funds";

/// Brings on all that may be tried now, as a facilitator would that refuses; how many settlements that takes.
fn refuse_all(books: &Books<'_, Connection>, now: u64) -> u32 {
    let mut sent = 0;
    while let Some(mut outstanding) = books.outstanding(now).unwrap() {
        let (key, attempt) = (outstanding.key, outstanding.attempt);
        books.record(&key, attempt, now, &Event::StartCollecting { until: now + 150 }).unwrap();
        outstanding.open.tries += 1;
        let event = after_attempt(&outstanding.open, &Outcome::Refused(POOR.into()), false, now);
        assert!(books.conclude(&key, attempt, now, &event).unwrap());
        sent += 1;
    }
    sent
}

#[test]
fn one_of_many_debts_is_tried_and_ever_more_rarely() {
    let database = database();
    let books = Books::opened(&database);
    for nonce in 1..=40 {
        let claim = Claim {
            mode: Mode::Deferred { max_exposure: "1000000".into() },
            valid_before: 100 + 86_400 + u64::from(nonce),
            ..claim(nonce, 100)
        };
        books.claim(&claim).unwrap();
        books.record(&key(nonce), 1, 100, &Event::Serve).unwrap();
    }
    let (mut sent, mut alarms, mut now) = (0, 0, 100);
    while let Some(at) = books.next_alarm().unwrap().filter(|at| *at < 100 + 86_300) {
        now = now.max(at);
        sent += refuse_all(&books, now);
        alarms += 1;
        assert!(alarms < 1_000, "an alarm that finds nothing to do rings again and again");
    }
    assert!((24..=40).contains(&sent), "{sent} settlements of a wallet that stays empty for a day");
    // Each of them is over in its time, and stays a debt.
    while let Some(at) = books.next_alarm().unwrap() {
        now = now.max(at);
        refuse_all(&books, now);
        alarms += 1;
        assert!(alarms < 1_000);
    }
    assert!(now < 100 + 86_400 + 60, "{now}");
    assert_eq!(denied(books.claim(&deferred(41, now)).unwrap()), Denial::InDebt);
}

#[test]
fn all_debts_are_collected_once_there_is_money() {
    let database = database();
    let books = Books::opened(&database);
    for nonce in 1..=3 {
        books.claim(&Claim { mode: Mode::Deferred { max_exposure: "9000".into() }, ..claim(nonce, 100) }).unwrap();
        books.record(&key(nonce), 1, 100, &Event::Serve).unwrap();
    }
    assert_eq!(refuse_all(&books, 100), 1, "the others wait for it");
    assert_eq!(books.outstanding(101).unwrap(), None);
    assert_eq!(books.next_alarm().unwrap(), Some(102));
    for at in 0..3_u8 {
        let open = books.outstanding(102).unwrap().unwrap();
        books.record(&open.key, open.attempt, 102, &Event::StartCollecting { until: 252 }).unwrap();
        let movement = Movement { transaction: Some(format!("0xT{at}")), evidence: Evidence::Told };
        assert!(books.conclude(&open.key, open.attempt, 102, &Event::Settled(movement)).unwrap());
    }
    assert_eq!((books.outstanding(103).unwrap(), books.next_alarm().unwrap()), (None, None));
    assert_eq!(books.claim(&deferred(4, 103)).unwrap(), sold(1));
}

#[test]
fn a_buyer_who_asks_has_an_old_unknown_outcome_looked_into() {
    let database = database();
    let books = Books::opened(&database);
    books.claim(&Claim { valid_before: 90_000, ..claim(1, 100) }).unwrap();
    books.record(&key(1), 1, 101, &start()).unwrap();
    let lost = |again_at| Event::LostTrack { reason: "silence".into(), transaction: None, again_at, lost: true };
    books.record(&key(1), 1, 1_000, &lost(4_600)).unwrap();
    assert_eq!(denied(books.claim(&claim(1, 1_059)).unwrap()), Denial::Unknown);
    assert_eq!(books.next_alarm().unwrap(), Some(4_600), "not more than once a minute");
    assert_eq!(denied(books.claim(&claim(1, 1_060)).unwrap()), Denial::Unknown);
    assert_eq!(books.next_alarm().unwrap(), Some(1_060));
    books.try_again(&key(1), 1_450).unwrap();
    assert_eq!(denied(books.claim(&claim(1, 1_061)).unwrap()), Denial::Unknown);
    assert_eq!(books.next_alarm().unwrap(), Some(1_450), "what is being tried is left alone");
}
