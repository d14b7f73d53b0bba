//! The books, with the very statements that a Durable Object runs, in the same engine.

use super::*;
use crate::ledger::authorization::{Denial, Event};
use crate::ledger::messages::{Claim, Identified, Kept, Mode, Purchase, Reply, Right, StoredAnswer};
use rusqlite::Connection;

mod cost;
mod debtor;
mod earlier;
mod owed;

fn database() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    Books::open(&database).unwrap();
    database
}

fn key(nonce: u8) -> Key {
    Key { asset: "0xA".into(), nonce: format!("0x{nonce:02}") }
}

fn claim(nonce: u8, now: u64) -> Claim {
    Claim {
        key: key(nonce),
        network: "eip155:84532".into(),
        payer: "0xP".into(),
        pay_to: "0xS".into(),
        binding: "GET /a".into(),
        content: None,
        mode: Mode::After,
        identified: None,
        now,
        lease_until: now + 40,
        valid_before: now + 300,
        value: "1000".into(),
        facilitator: "https://f".into(),
        settle_request: "{}".into(),
        only_what_is_owed: false,
        purchase: None,
    }
}

fn deferred(nonce: u8, now: u64) -> Claim {
    Claim { mode: Mode::Deferred { max_exposure: "2500".into() }, ..claim(nonce, now) }
}

fn identified(id: &str, body: &str) -> Option<Identified> {
    Some(Identified { id: id.into(), fingerprint: format!("GET /a {body}") })
}

fn sold(attempt: u32) -> Reply {
    Reply::Granted { attempt, right: Right::Sell }
}

fn moved() -> Movement {
    Movement { transaction: Some("0xT".into()), evidence: Evidence::Told }
}

fn denied(reply: Reply) -> Denial {
    match reply {
        Reply::Denied { denial, .. } => denial,
        other => panic!("not denied: {other:?}"),
    }
}

fn start() -> Event {
    Event::StartSettling { until: 200, facilitator: "https://f".into() }
}

#[test]
fn one_claim_has_one_winner_and_ends_with_its_lease() {
    let database = database();
    let books = Books::opened(&database);
    assert_eq!(books.claim(&claim(1, 100)).unwrap(), sold(1));
    assert_eq!(denied(books.claim(&claim(1, 139)).unwrap()), Denial::InFlight);
    let elsewhere = Claim { binding: "GET /b".into(), ..claim(1, 200) };
    assert_eq!(denied(books.claim(&elsewhere).unwrap()), Denial::Used);
    assert_eq!(books.claim(&claim(1, 140)).unwrap(), sold(2), "its lease is over");
    assert!(!books.record(&key(1), 1, 141, &start()).unwrap(), "the first claim is nobody's any more");
    assert!(books.record(&key(1), 2, 141, &start()).unwrap());
    assert_eq!(denied(books.claim(&claim(1, 150)).unwrap()), Denial::InFlight);
    assert_eq!(denied(books.claim(&claim(1, 10_000)).unwrap()), Denial::Unknown, "money may have moved");
}

#[test]
fn an_answer_is_released_once_and_what_is_owed_is_served_once() {
    let database = database();
    let books = Books::opened(&database);
    books.claim(&claim(1, 100)).unwrap();
    books.record(&key(1), 1, 101, &start()).unwrap();
    // The alarm finds out that it settled, while the first request still waits.
    assert!(books.record(&key(1), 1, 201, &Event::Settled(moved())).unwrap());
    assert_eq!(books.claim(&claim(1, 202)).unwrap(), Reply::Granted { attempt: 2, right: Right::ServeOwed(moved()) });
    assert!(!books.record(&key(1), 1, 203, &Event::Answered(moved())).unwrap(), "another one serves it now");
    assert_eq!(denied(books.claim(&claim(1, 203)).unwrap()), Denial::InFlight);
    assert!(books.record(&key(1), 2, 204, &Event::StillOwed).unwrap());
    assert_eq!(books.claim(&claim(1, 205)).unwrap(), Reply::Granted { attempt: 4, right: Right::ServeOwed(moved()) });
    assert!(books.record(&key(1), 4, 206, &Event::Answered(moved())).unwrap());
    assert!(!books.record(&key(1), 4, 206, &Event::Answered(moved())).unwrap());
    assert_eq!(denied(books.claim(&claim(1, 400)).unwrap()), Denial::Used);
    let elsewhere = Claim { binding: "GET /b".into(), ..claim(1, 400) };
    assert_eq!(denied(books.claim(&elsewhere).unwrap()), Denial::Used);
}

#[test]
fn one_transaction_settles_one_payment_unless_the_chain_says_otherwise() {
    let database = database();
    let books = Books::opened(&database);
    for nonce in [1, 2] {
        books.claim(&claim(nonce, 100)).unwrap();
        books.record(&key(nonce), 1, 101, &start()).unwrap();
    }
    assert!(books.record(&key(1), 1, 102, &Event::Answered(moved())).unwrap());
    for told in [Event::Answered(moved()), Event::Settled(moved()), Event::Paid { movement: moved(), until: 200 }] {
        assert!(!books.record(&key(2), 1, 103, &told).unwrap(), "the answer to another payment");
    }
    let proved = Movement { evidence: Evidence::Proved, ..moved() };
    assert!(books.record(&key(2), 1, 104, &Event::Settled(proved)).unwrap(), "two in one transaction");
}

#[test]
fn an_identifier_says_it_again_to_its_own_payment_and_request_only() {
    let database = database();
    let books = Books::opened(&database);
    let first = Claim { identified: identified("id", "body"), ..claim(1, 100) };
    assert_eq!(books.claim(&first).unwrap(), sold(1));
    let answer = StoredAnswer { status: 200, headers: vec![("a".into(), "b".into())], body: "eA==".into(), until: 700 };
    assert!(!books.store(&key(1), &answer).unwrap(), "it is not answered yet");
    books.record(&key(1), 1, 101, &start()).unwrap();
    books.record(&key(1), 1, 102, &Event::Answered(moved())).unwrap();
    assert!(books.store(&key(1), &answer).unwrap());
    assert!(!books.store(&key(1), &StoredAnswer { status: 500, ..answer.clone() }).unwrap(), "kept once");
    let again = |answer| Reply::Again { answer, movement: Some(moved()) };
    assert_eq!(books.claim(&Claim { now: 500, ..first.clone() }).unwrap(), again(Some(answer)));
    assert_eq!(books.claim(&Claim { now: 700, ..first.clone() }).unwrap(), again(None), "its time is over");
    for thief in [
        Claim { identified: None, ..first.clone() },
        Claim { identified: identified("another", "body"), ..first.clone() },
    ] {
        assert_eq!(denied(books.claim(&thief).unwrap()), Denial::Used);
    }
    for other in [
        Claim { key: key(2), ..first.clone() },
        Claim { identified: identified("id", "another body"), ..first.clone() },
        Claim { identified: identified("id", "another body"), key: key(3), ..first },
    ] {
        assert_eq!(denied(books.claim(&other).unwrap()), Denial::IdentifierTaken);
    }
    assert_eq!(books.claim(&Claim { identified: identified("another", "body"), ..claim(4, 100) }).unwrap(), sold(1));
}

#[test]
fn whoever_asks_while_a_copy_is_made_waits_for_it() {
    let database = database();
    let books = Books::opened(&database);
    let first = Claim { identified: identified("id", ""), ..claim(1, 100) };
    books.claim(&first).unwrap();
    books.record(&key(1), 1, 101, &start()).unwrap();
    books.record(&key(1), 1, 102, &Event::Answered(moved())).unwrap();
    books.keep(&key(1), &Kept::Copying(140)).unwrap();
    assert_eq!(denied(books.claim(&Claim { now: 139, ..first.clone() }).unwrap()), Denial::InFlight);
    assert!(books.give_up_copy(&key(1)).unwrap());
    let gone = Reply::Again { answer: None, movement: Some(moved()) };
    assert_eq!(books.claim(&Claim { now: 139, ..first.clone() }).unwrap(), gone);
    books.keep(&key(1), &Kept::Copying(140)).unwrap();
    let answer = StoredAnswer { status: 200, headers: Vec::new(), body: String::new(), until: 700 };
    assert!(books.store(&key(1), &answer).unwrap());
    let again = Reply::Again { answer: Some(answer), movement: Some(moved()) };
    assert_eq!(books.claim(&Claim { now: 139, ..first }).unwrap(), again);
}

#[test]
fn what_is_owed_under_an_identifier_is_served_to_who_shows_it() {
    let database = database();
    let books = Books::opened(&database);
    let buyer = Claim { identified: identified("id", "body"), ..claim(1, 100) };
    books.claim(&buyer).unwrap();
    books.record(&key(1), 1, 101, &start()).unwrap();
    books.record(&key(1), 1, 201, &Event::Settled(moved())).unwrap();
    // All of it stands in the chain's calldata, but for the id.
    assert_eq!(denied(books.claim(&claim(1, 202)).unwrap()), Denial::IdentifierTaken);
    let guess = Claim { identified: identified("guess", "body"), ..claim(1, 202) };
    assert_eq!(denied(books.claim(&guess).unwrap()), Denial::IdentifierTaken);
    assert_eq!(
        books.claim(&Claim { now: 202, lease_until: 242, ..buyer }).unwrap(),
        Reply::Granted { attempt: 2, right: Right::ServeOwed(moved()) }
    );
}

#[test]
fn what_was_not_released_after_all_is_not_collected_for_or_owed() {
    let database = database();
    let books = Books::opened(&database);
    books.claim(&deferred(1, 100)).unwrap();
    books.record(&key(1), 1, 101, &Event::Serve).unwrap();
    assert!(books.record(&key(1), 1, 102, &Event::TakeBack).unwrap());
    assert!(!books.record(&key(1), 1, 102, &Event::Serve).unwrap(), "said before, and late");
    assert_eq!(books.claim(&deferred(1, 103)).unwrap(), sold(3));
    books.record(&key(1), 3, 104, &Event::Serve).unwrap();
    books.record(&key(1), 3, 105, &Event::StartCollecting { until: 200 }).unwrap();
    assert!(!books.record(&key(1), 3, 106, &Event::TakeBack).unwrap(), "money may be moving");
    assert!(books.record(&key(1), 3, 106, &Event::StillOwed).unwrap());
    books.record(&key(1), 3, 107, &Event::Settled(moved())).unwrap();
    assert_eq!(
        books.claim(&deferred(1, 108)).unwrap(),
        Reply::Granted { attempt: 5, right: Right::ServeOwed(moved()) }
    );
}

#[test]
fn a_debt_is_paid_by_one_at_a_time() {
    let database = database();
    let books = Books::opened(&database);
    books.claim(&deferred(1, 100)).unwrap();
    books.record(&key(1), 1, 101, &Event::Serve).unwrap();
    books.record(&key(1), 1, 102, &Event::StartCollecting { until: 200 }).unwrap();
    books.record(&key(1), 1, 103, &Event::Fail { reason: "poor".into(), again_at: None }).unwrap();
    assert!(books.record(&key(1), 0, 104, &Event::Reserve { by: "a".into(), until: 300 }).unwrap());
    assert!(!books.record(&key(1), 0, 105, &Event::Reserve { by: "b".into(), until: 300 }).unwrap());
    assert!(
        books.record(&key(1), 0, 105, &Event::Reserve { by: "a".into(), until: 300 }).unwrap(),
        "its Worker had died"
    );
    assert!(!books.record(&key(1), 0, 105, &Event::LetGo { by: "b".into() }).unwrap());
    assert!(books.record(&key(1), 0, 106, &Event::LetGo { by: "a".into() }).unwrap());
    assert!(books.record(&key(1), 0, 106, &Event::Reserve { by: "b".into(), until: 300 }).unwrap());
    assert!(books.record(&key(1), 0, 107, &Event::MakeGood { transaction: "0xT".into() }).unwrap());
}

#[test]
fn what_lapsed_without_being_paid_goes_on_counting() {
    let database = database();
    let books = Books::opened(&database);
    for nonce in [1, 2] {
        books.claim(&deferred(nonce, 100)).unwrap();
        books.record(&key(nonce), 1, 101, &Event::Serve).unwrap();
        books.record(&key(nonce), 1, 102, &Event::StartCollecting { until: 200 }).unwrap();
        books.record(&key(nonce), 1, 900, &Event::Lapse).unwrap();
    }
    assert_eq!(denied(books.claim(&deferred(3, 901)).unwrap()), Denial::Exposed);
}

#[test]
fn an_identifier_is_free_again_when_no_money_moved_under_it() {
    let database = database();
    let books = Books::opened(&database);
    books.claim(&Claim { identified: identified("id", ""), ..claim(1, 100) }).unwrap();
    let second = Claim { identified: identified("id", ""), ..claim(2, 100) };
    assert_eq!(denied(books.claim(&second).unwrap()), Denial::IdentifierTaken);
    books.record(&key(1), 1, 101, &Event::Release).unwrap();
    assert_eq!(books.claim(&second).unwrap(), sold(1));
}

#[test]
fn exposure_is_bounded_and_a_debt_blocks_until_it_is_made_good() {
    let database = database();
    let books = Books::opened(&database);
    assert_eq!(books.claim(&deferred(1, 100)).unwrap(), sold(1));
    assert_eq!(books.claim(&deferred(2, 100)).unwrap(), sold(1));
    assert_eq!(denied(books.claim(&deferred(3, 100)).unwrap()), Denial::Exposed, "what is in flight counts");
    assert_eq!(books.claim(&claim(4, 100)).unwrap(), sold(1), "what is paid at once exposes nobody");
    books.record(&key(1), 1, 101, &Event::Serve).unwrap();
    books.record(&key(2), 1, 101, &Event::Release).unwrap();
    assert_eq!(books.claim(&deferred(3, 102)).unwrap(), sold(1));
    books.record(&key(1), 1, 103, &Event::StartCollecting { until: 200 }).unwrap();
    books.record(&key(1), 1, 104, &Event::Fail { reason: "poor".into(), again_at: Some(104) }).unwrap();
    books.record(&key(1), 1, 104, &Event::StartCollecting { until: 200 }).unwrap();
    assert_eq!(denied(books.claim(&deferred(5, 105)).unwrap()), Denial::InDebt, "also while it is tried again");
    books.record(&key(1), 1, 104, &Event::Fail { reason: "poor".into(), again_at: None }).unwrap();
    for blocked in [deferred(5, 105), claim(5, 105)] {
        match books.claim(&blocked).unwrap() {
            Reply::Denied { denial: Denial::InDebt, debt: Some(debt), .. } => assert_eq!(debt.nonce, key(1).nonce),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(books.claim(&Claim { mode: Mode::Debt, ..claim(6, 105) }).unwrap(), sold(1));
    assert!(books.record(&key(1), 0, 106, &Event::MakeGood { transaction: "0xT2".into() }).unwrap());
    assert_eq!(books.claim(&deferred(5, 107)).unwrap(), sold(1));
}

#[test]
fn the_alarm_finds_what_is_open_and_forgets_what_is_over() {
    let database = database();
    let books = Books::opened(&database);
    assert_eq!(books.next_alarm().unwrap(), None);
    books.claim(&claim(1, 100)).unwrap();
    assert_eq!(books.next_alarm().unwrap(), Some(140));
    books.record(&key(1), 1, 101, &start()).unwrap();
    assert_eq!((books.next_alarm().unwrap(), books.outstanding(199).unwrap()), (Some(200), None));
    let found = books.outstanding(200).unwrap().unwrap();
    assert_eq!((found.key, found.open.state, found.open.tries, found.open.lost), (key(1), State::Settling, 1, false));
    books.record(&key(1), 1, 200, &Event::Abandon).unwrap();
    books.try_again(&key(1), 260).unwrap();
    assert_eq!(books.outstanding(259).unwrap(), None);
    let found = books.outstanding(260).unwrap().unwrap();
    assert_eq!((found.open.state, found.open.tries, found.open.lost), (State::Unknown, 2, true));
    for no in [Event::Refused { reason: "no".into() }, Event::FoundSpent { reason: "no".into() }] {
        assert!(
            !books.record(&key(1), 1, 261, &no).unwrap(),
            "of an attempt that is not the only one any more: {no:?}"
        );
    }
    assert!(books.conclude(&key(1), 1, 261, &Event::Refused { reason: "no".into() }).unwrap());
    assert_eq!((books.outstanding(9_999).unwrap(), books.next_alarm().unwrap()), (None, Some(261 + KEEP_SECONDS)));
    books.sweep(261 + KEEP_SECONDS).unwrap();
    assert_eq!((books.next_alarm().unwrap(), books.list(None).unwrap()), (None, Vec::new()));
}

#[test]
fn asking_for_what_is_owed_claims_nothing_new() {
    let database = database();
    let books = Books::opened(&database);
    assert_eq!(denied(books.claim(&Claim { only_what_is_owed: true, ..claim(1, 100) }).unwrap()), Denial::Refused);
    assert_eq!(books.list(None).unwrap(), Vec::new());
}

/// Payment and signature are on chain for everybody to copy: a key is more than one answer's worth.
#[test]
fn a_purchase_that_is_owed_waits_for_its_buyer() {
    let database = database();
    let books = Books::opened(&database);
    let purchase = |account: Option<&str>| Purchase {
        package: "small".into(),
        credits: 5,
        lasts_seconds: None,
        amount: "1".into(),
        symbol: "USDC".into(),
        account: account.map(ToOwned::to_owned),
    };
    let identified = |id: &str| Some(Identified { id: id.into(), fingerprint: "f".into() });
    for (nonce, account, id, shown, right) in [
        (1, None, None, None, false),
        (2, None, None, Some("a-thief's-own-id"), false),
        (3, None, Some("the-buyer's-id-3"), None, false),
        (4, None, Some("the-buyer's-id-4"), Some("a-thief's-id-too"), false),
        (5, None, Some("the-buyer's-id-5"), Some("the-buyer's-id-5"), true),
        // What fills an account that is named beside it fills that one, whoever says so.
        (6, Some("a"), None, None, true),
    ] {
        let claim = Claim {
            mode: Mode::Before,
            purchase: Some(purchase(account)),
            identified: id.and_then(&identified),
            ..claim(nonce, 100)
        };
        books.claim(&claim).unwrap();
        books.record(&key(nonce), 1, 101, &start()).unwrap();
        let moved = Movement { transaction: Some(format!("0x{nonce}")), evidence: Evidence::Told };
        books.record(&key(nonce), 1, 102, &Event::Settled(moved)).unwrap();
        let again = Claim { identified: shown.and_then(&identified), now: 300, lease_until: 340, ..claim };
        match books.claim(&again).unwrap() {
            Reply::Granted { right: Right::ServeOwed(_), .. } => assert!(right, "{nonce}"),
            Reply::Denied { denial: Denial::Guarded, .. } => assert!(!right, "{nonce}"),
            other => panic!("{nonce}: {other:?}"),
        }
        assert_eq!(books.list(Some(&key(nonce).nonce)).unwrap()[0].purchase, Some(purchase(account)));
    }
}
