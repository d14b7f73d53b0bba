//! An account under any interleaving, against a model that only adds and subtracts; and the keys.

use super::account::Account;
use super::holder::{Holder, SignedIn};
use super::key::{Key, Keys};
use super::messages::{Bought, Deposit, Kind, Outcome, Spend};
use super::spend::Held;
use crate::config::Secret;
use crate::ledger::sql::Sql;
use proptest::prelude::*;
use rusqlite::Connection;
use std::collections::BTreeMap;

fn database() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    Account::open(&database).unwrap();
    Holder::open(&database).unwrap();
    database
}

fn deposit(reference: &str, credits: u64, expires_at: Option<u64>) -> Deposit {
    Deposit { reference: reference.into(), kind: Kind::Purchase, credits, expires_at, note: "{}".into(), live: false }
}

fn spend(id: &str, credits: u64, until: u64) -> Spend {
    Spend { id: id.into(), generation: Some(0), credits, until, request: "GET /a".into() }
}

fn sum(database: &Connection, column: &str, table: &str) -> i64 {
    database.run(&format!("SELECT coalesce(sum({column}), 0) FROM {table}"), &[]).unwrap()[0].integer(0)
}

/// The sum of the entries, and that nothing is anywhere else.
fn balance(database: &Connection) -> i64 {
    let (entries, parts) = (sum(database, "credits", "entries"), sum(database, "credits", "hold_parts"));
    assert_eq!(entries, parts + sum(database, "remaining", "lots"), "the entries, and what is left");
    assert_eq!(parts, sum(database, "credits", "holds"), "holds, and their parts");
    entries
}

#[test]
fn a_call_is_held_then_captured_or_released() {
    let database = database();
    let account = Account::opened(&database);
    assert_eq!(account.hold(&spend("a", 1, 50), 10).unwrap(), Held::Short { available: 0 });
    assert!(account.deposit(&deposit("p1", 5, None), 10).unwrap());
    assert!(!account.deposit(&deposit("p1", 5, None), 10).unwrap(), "one payment, once");
    assert_eq!(account.hold(&spend("a", 3, 50), 10).unwrap(), Held::Yes { available: 2 });
    assert_eq!(account.hold(&spend("b", 3, 50), 10).unwrap(), Held::Short { available: 2 });
    assert_eq!(account.hold(&spend("b", 2, 50), 10).unwrap(), Held::Yes { available: 0 });
    assert!(account.capture(&spend("a", 3, 50), 200, 20).unwrap());
    assert!(account.capture(&spend("a", 3, 50), 200, 20).unwrap(), "twice is once");
    assert!(account.release("b", Outcome::Released, Some(500), 20).unwrap());
    assert!(!account.release("b", Outcome::Released, Some(500), 20).unwrap());
    assert!(!account.release("a", Outcome::Released, Some(500), 20).unwrap(), "what is spent is spent");
    assert_eq!((balance(&database), account.available(20).unwrap()), (2, 2));
    let shown = account.show(20, 50).unwrap().unwrap();
    assert_eq!((shown.calls, shown.succeeded), (2, 1));
    assert_eq!(shown.activity.iter().map(|line| line.outcome.as_str()).collect::<Vec<_>>(), ["released", "charged"]);
}

#[test]
fn a_hold_that_nobody_ends_ends_by_itself_and_a_late_capture_takes_what_is_there() {
    let database = database();
    let account = Account::opened(&database);
    account.deposit(&deposit("p1", 1, None), 10).unwrap();
    account.hold(&spend("a", 1, 50), 10).unwrap();
    assert_eq!(account.next_alarm().unwrap(), Some(50));
    account.sweep(49).unwrap();
    assert_eq!(account.available(49).unwrap(), 0);
    account.sweep(50).unwrap();
    assert_eq!(account.available(50).unwrap(), 1);
    assert!(account.capture(&spend("a", 1, 50), 200, 51).unwrap(), "it was answered after all");
    assert_eq!((balance(&database), account.available(51).unwrap()), (0, 0));
    assert!(account.capture(&spend("a", 1, 50), 200, 52).unwrap());
    let shown = account.show(52, 50).unwrap().unwrap();
    assert_eq!((shown.calls, shown.succeeded), (1, 1));
    account.deposit(&deposit("p2", 1, None), 52).unwrap();
    account.hold(&spend("b", 1, 60), 52).unwrap();
    account.sweep(60).unwrap();
    account.hold(&spend("c", 1, 90), 61).unwrap();
    assert!(!account.capture(&spend("b", 1, 60), 200, 62).unwrap(), "another has it by now");
    assert_eq!(balance(&database), 1);
}

#[test]
fn an_alarm_that_was_lost_locks_nothing_up() {
    let database = database();
    let account = Account::opened(&database);
    account.deposit(&deposit("p1", 1, None), 10).unwrap();
    account.hold(&spend("a", 1, 50), 10).unwrap();
    assert_eq!(account.hold(&spend("b", 1, 90), 49).unwrap(), Held::Short { available: 0 });
    assert_eq!(account.hold(&spend("b", 1, 90), 50).unwrap(), Held::Yes { available: 0 });
    assert_eq!(account.withdraw("r", None, "", 90).unwrap(), Some(1));
}

#[test]
fn what_expires_first_is_spent_first_and_what_is_held_expires_when_it_is_released() {
    let database = database();
    let account = Account::opened(&database);
    account.deposit(&deposit("late", 2, Some(200)), 10).unwrap();
    account.deposit(&deposit("soon", 2, Some(100)), 10).unwrap();
    account.deposit(&deposit("never", 2, None), 10).unwrap();
    account.hold(&spend("a", 3, 150), 10).unwrap();
    account.sweep(100).unwrap();
    assert_eq!((account.available(100).unwrap(), balance(&database)), (3, 6), "both of the soon were held");
    account.release("a", Outcome::Released, None, 120).unwrap();
    assert_eq!((account.available(120).unwrap(), balance(&database)), (4, 4), "they had expired meanwhile");
    assert_eq!(account.next_alarm().unwrap(), Some(200));
    account.sweep(200).unwrap();
    assert_eq!((account.available(200).unwrap(), balance(&database)), (2, 2));
    assert_eq!(account.next_alarm().unwrap(), None);
}

#[test]
fn rotation_ends_a_key_and_repeats_itself_only_to_who_asked() {
    let database = database();
    let account = Account::opened(&database);
    account.deposit(&deposit("p1", 5, None), 10).unwrap();
    assert_eq!(account.rotate(0, Some("mine")).unwrap(), Some(1));
    assert_eq!(account.hold(&spend("a", 1, 50), 10).unwrap(), Held::Revoked);
    assert_eq!(account.rotate(0, Some("mine")).unwrap(), Some(1), "the answer was lost");
    assert_eq!(account.rotate(0, Some("thief")).unwrap(), None);
    assert_eq!(account.rotate(0, None).unwrap(), None);
    let next = Spend { generation: Some(1), ..spend("a", 1, 50) };
    assert_eq!(account.hold(&next, 10).unwrap(), Held::Yes { available: 4 });
    assert!(account.revoke().unwrap());
    assert_eq!(account.hold(&Spend { id: "b".into(), ..next.clone() }, 10).unwrap(), Held::Revoked);
    assert_eq!(account.hold(&Spend { id: "b".into(), generation: None, ..next.clone() }, 10).unwrap(), Held::Revoked);
    assert_eq!(account.rotate(1, Some("other")).unwrap(), None);
    assert!(account.capture(&next, 200, 11).unwrap(), "what was held before is paid for");
}

#[test]
fn a_rotation_without_an_idempotency_key_is_not_repeated() {
    let database = database();
    let account = Account::opened(&database);
    account.deposit(&deposit("p1", 5, None), 10).unwrap();
    assert_eq!(account.rotate(0, None).unwrap(), Some(1));
    assert_eq!(account.rotate(0, None).unwrap(), None);
    assert_eq!(account.rotate(u16::MAX, None).unwrap(), None);
}

#[test]
fn a_refund_takes_what_is_unspent_and_no_more() {
    let database = database();
    let account = Account::opened(&database);
    assert_eq!(account.withdraw("r0", None, "", 10).unwrap(), None, "there is no account");
    account.deposit(&deposit("p1", 5, None), 10).unwrap();
    account.hold(&spend("a", 2, 50), 10).unwrap();
    assert_eq!(account.withdraw("r1", Some(4), "", 10).unwrap(), None);
    assert_eq!(account.withdraw("r1", Some(1), "", 10).unwrap(), Some(1));
    assert_eq!(account.withdraw("r1", Some(1), "", 10).unwrap(), Some(1), "twice is once");
    assert_eq!(account.withdraw("r2", None, "", 10).unwrap(), Some(2));
    assert_eq!(account.withdraw("r3", None, "", 10).unwrap(), None, "nothing is no refund");
    assert_eq!((account.available(10).unwrap(), balance(&database)), (0, 2));
}

#[test]
fn a_purchase_goes_where_it_went_first_and_a_sign_in_is_used_once() {
    let database = database();
    let holder = Holder::opened(&database);
    let bought = |account: &str, own| Bought { account: account.into(), live: true, own };
    assert_eq!(holder.sign_in("n", 100, 10).unwrap(), SignedIn::Nobody);
    assert_eq!(holder.purchase("p1", &bought("a", true), "x").unwrap(), (bought("a", true), true));
    assert_eq!(holder.purchase("p1", &bought("b", false), "y").unwrap(), (bought("a", true), false));
    holder.purchase("p2", &bought("c", false), "x").unwrap();
    holder.purchase("p3", &bought("d", true), "x").unwrap();
    let yes = SignedIn::Yes(vec![bought("d", true), bought("a", true)]);
    assert_eq!(holder.sign_in("n", 100, 10).unwrap(), yes, "c is somebody else's");
    assert_eq!(holder.sign_in("n", 100, 100).unwrap(), SignedIn::Used, "it is taken until then, inclusive");
    assert_eq!(holder.sign_in("m", 200, 101).unwrap(), yes);
}

fn secret(text: &str) -> Secret {
    Secret::for_tests(text)
}

#[test]
fn a_key_reads_back_and_any_change_to_it_is_none() {
    let (one, two) = (secret("0123456789abcdef0123456789abcdef"), secret("fedcba9876543210fedcba9876543210"));
    let keys = Keys { prefix: "e402", secret: &one, previous: None };
    let key = Key { live: false, account: keys.account_of("p1"), generation: 0 };
    let text = keys.write(&key);
    assert_eq!(keys.read(&text), Some(key.clone()));
    for at in 0..text.len() {
        for other in ['0', 'f', 'a', '_', 'F', 'x'] {
            let changed: String = text.chars().enumerate().map(|(i, c)| if i == at { other } else { c }).collect();
            assert_eq!(keys.read(&changed).is_some(), changed == text, "{changed}");
        }
    }
    for odd in [format!("{text}0"), format!("{text} "), text[..text.len() - 1].to_owned(), text.to_uppercase()] {
        assert_eq!(keys.read(&odd), None, "{odd}");
    }
    assert_eq!(Keys { prefix: "e403", ..keys }.read(&text.replace("e402", "e403")), None);
    assert_eq!(Keys { secret: &two, ..keys }.read(&text), None);
    let rotated = Keys { secret: &two, previous: Some(&one), ..keys };
    assert_eq!(rotated.read(&text), Some(key.clone()));
    assert_ne!(rotated.write(&key), text, "new ones are made with the new secret");
}

/// A million keys of the right form, none of which is one. No object is asked about what cannot be read.
#[test]
fn a_million_random_keys_are_none() {
    let one = secret("0123456789abcdef0123456789abcdef");
    let keys = Keys { prefix: "e402", secret: &one, previous: None };
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut digits = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        format!("{random:016x}")
    };
    let read = (0..1_000_000).filter(|_| {
        let body: String = (0..5).map(|_| digits()).collect();
        keys.read(&format!("e402_live_{}", &body[..68])).is_some()
    });
    assert_eq!(read.count(), 0);
}

/// What a simple bookkeeper would have: lots by expiry, and holds with what they took out of which.
#[derive(Default)]
struct Model {
    lots: BTreeMap<String, (u64, u64)>,
    holds: BTreeMap<String, (u64, Vec<(String, u64)>)>,
    balance: i64,
    paid: Vec<String>,
    opened: bool,
    revoked: bool,
}

impl Model {
    fn expire(&mut self, now: u64) {
        for (remaining, expires_at) in self.lots.values_mut() {
            if *expires_at <= now {
                self.balance -= i64::try_from(*remaining).unwrap();
                *remaining = 0;
            }
        }
    }

    fn sweep(&mut self, now: u64) {
        let over: Vec<String> =
            self.holds.iter().filter(|(_, (until, _))| *until <= now).map(|(id, _)| id.clone()).collect();
        for id in over {
            self.release(&id, now);
        }
        self.expire(now);
    }

    fn available(&self, now: u64) -> u64 {
        self.lots.values().filter(|(_, expires_at)| *expires_at > now).map(|(remaining, _)| remaining).sum()
    }

    fn take(&mut self, credits: u64, now: u64) -> Vec<(String, u64)> {
        let mut order: Vec<_> =
            self.lots.iter().filter(|(_, lot)| lot.1 > now).map(|(name, lot)| (lot.1, name.clone())).collect();
        order.sort();
        let mut missing = credits;
        let mut parts = Vec::new();
        for (_, name) in order {
            let lot = self.lots.get_mut(&name).unwrap();
            let part = missing.min(lot.0);
            lot.0 -= part;
            missing -= part;
            parts.push((name, part));
        }
        parts
    }

    fn hold(&mut self, id: &str, credits: u64, until: u64, now: u64) -> bool {
        if self.available(now) < credits || self.holds.contains_key(id) || self.paid.iter().any(|paid| paid == id) {
            return false;
        }
        let parts = self.take(credits, now);
        self.holds.insert(id.to_owned(), (until, parts));
        true
    }

    fn release(&mut self, id: &str, now: u64) -> bool {
        let Some((_, parts)) = self.holds.remove(id) else { return false };
        for (name, part) in parts {
            self.lots.get_mut(&name).unwrap().0 += part;
        }
        self.expire(now);
        true
    }

    fn capture(&mut self, id: &str, credits: u64, now: u64) -> bool {
        if self.paid.iter().any(|paid| paid == id) {
            return true;
        }
        if !(self.holds.contains_key(id) || (self.opened && self.hold(id, credits, 0, now))) {
            return false;
        }
        let (_, parts) = self.holds.remove(id).unwrap();
        self.balance -= parts.iter().map(|(_, part)| i64::try_from(*part).unwrap()).sum::<i64>();
        self.paid.push(id.to_owned());
        true
    }
}

#[derive(Clone, Debug)]
enum Step {
    Deposit(u8, u64, Option<u64>),
    Hold(u8, u64, u64),
    Capture(u8),
    Release(u8),
    Withdraw(u8, Option<u64>),
    Wait(u64),
    Sweep,
    Revoke,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u8..6, 1_u64..20, proptest::option::of(1_u64..120)).prop_map(|(r, n, e)| Step::Deposit(r, n, e)),
        6 => (0_u8..12, 0_u64..9, 1_u64..60).prop_map(|(id, n, until)| Step::Hold(id, n, until)),
        4 => (0_u8..12).prop_map(Step::Capture),
        3 => (0_u8..12).prop_map(Step::Release),
        1 => (0_u8..4, proptest::option::of(0_u64..9)).prop_map(|(r, n)| Step::Withdraw(r, n)),
        3 => (1_u64..40).prop_map(Step::Wait),
        2 => Just(Step::Sweep),
        1 => (0_u8..12).prop_map(|n| if n == 0 { Step::Revoke } else { Step::Sweep }),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn the_balance_is_the_sum_of_its_entries_and_never_negative(steps in steps()) {
        let database = database();
        let account = Account::opened(&database);
        let (mut model, mut now) = (Model::default(), 1_000);
        let mut asked: BTreeMap<String, u64> = BTreeMap::new();
        let mut references: Vec<String> = Vec::new();
        let mut refunds: BTreeMap<String, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Deposit(reference, credits, expires) => {
                    let reference = format!("p{reference}");
                    let expires_at = expires.map(|seconds| now + seconds);
                    let fresh = !references.contains(&reference);
                    prop_assert_eq!(account.deposit(&deposit(&reference, credits, expires_at), now).unwrap(), fresh);
                    model.opened = true;
                    if fresh {
                        model.lots.insert(reference.clone(), (credits, expires_at.unwrap_or(u64::MAX)));
                        model.balance += i64::try_from(credits).unwrap();
                        references.push(reference);
                    }
                }
                Step::Hold(id, credits, seconds) => {
                    let id = format!("h{id}");
                    // A call's price does not change under its id.
                    let credits = *asked.entry(id.clone()).or_insert(credits);
                    let held = account.hold(&spend(&id, credits, now + seconds), now).unwrap();
                    if model.opened && model.revoked {
                        prop_assert_eq!(held, Held::Revoked);
                    } else {
                        model.sweep(now);
                        let yes = credits > 0 && model.hold(&id, credits, now + seconds, now);
                        prop_assert_eq!(matches!(held, Held::Yes { .. }), yes, "{:?}", held);
                    }
                }
                Step::Capture(id) => {
                    let id = format!("h{id}");
                    let credits = asked.get(&id).copied().unwrap_or(1);
                    asked.insert(id.clone(), credits);
                    let captured = account.capture(&spend(&id, credits, now), 200, now).unwrap();
                    prop_assert_eq!(captured, credits > 0 && model.capture(&id, credits, now));
                }
                Step::Release(id) => {
                    let id = format!("h{id}");
                    let released = account.release(&id, Outcome::Released, None, now).unwrap();
                    prop_assert_eq!(released, model.release(&id, now));
                }
                Step::Withdraw(reference, credits) => {
                    let reference = format!("r{reference}");
                    let taken = account.withdraw(&reference, credits, "", now).unwrap();
                    if let Some(before) = refunds.get(&reference) {
                        prop_assert_eq!(taken, Some(*before));
                    } else {
                        model.sweep(now);
                        let wanted = credits.unwrap_or_else(|| model.available(now));
                        let enough = wanted > 0 && wanted <= model.available(now);
                        prop_assert_eq!(taken, enough.then_some(wanted));
                        if enough {
                            model.take(wanted, now);
                            model.balance -= i64::try_from(wanted).unwrap();
                            refunds.insert(reference, wanted);
                        }
                    }
                }
                Step::Wait(seconds) => now += seconds,
                Step::Sweep => {
                    account.sweep(now).unwrap();
                    model.sweep(now);
                    prop_assert!(account.next_alarm().unwrap().is_none_or(|at| at > now), "what is due is done");
                }
                Step::Revoke => {
                    prop_assert_eq!(account.revoke().unwrap(), model.opened);
                    model.revoked |= model.opened;
                }
            }
            let balance = balance(&database);
            prop_assert!(balance >= 0);
            prop_assert_eq!(balance, model.balance);
            prop_assert_eq!(account.available(now).unwrap(), model.available(now));
        }
    }
}
