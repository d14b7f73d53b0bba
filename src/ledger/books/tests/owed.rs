//! What is paid and was not heard: whose it is, and how often.

use super::*;

#[test]
fn what_is_owed_is_owed_to_the_body_that_it_was_claimed_with() {
    let database = database();
    let books = Books::opened(&database);
    let with =
        |nonce: u8, now: u64, content: Option<&str>| Claim { content: content.map(Into::into), ..claim(nonce, now) };
    let proved = Movement { transaction: None, evidence: Evidence::Proved };
    for (nonce, content) in [(1, Some("a")), (2, None)] {
        books.claim(&with(nonce, 100, content)).unwrap();
        books.record(&key(nonce), 1, 101, &start()).unwrap();
        books.record(&key(nonce), 1, 201, &Event::Settled(proved.clone())).unwrap();
    }
    for other in [Some("b"), None] {
        assert_eq!(denied(books.claim(&with(1, 202, other)).unwrap()), Denial::OtherContent);
    }
    let owed = |attempt| Reply::Granted { attempt, right: Right::ServeOwed(proved.clone()) };
    assert_eq!(books.claim(&with(1, 202, Some("a"))).unwrap(), owed(2));
    // What streamed cannot be told from another.
    assert_eq!(books.claim(&with(2, 202, Some("b"))).unwrap(), owed(2));
    // What came to nothing may be tried again with another body: nothing has moved.
    books.claim(&with(3, 100, Some("a"))).unwrap();
    books.record(&key(3), 1, 101, &Event::Release).unwrap();
    assert_eq!(books.claim(&with(3, 102, Some("b"))).unwrap(), sold(2));
    books.record(&key(3), 2, 103, &start()).unwrap();
    books.record(&key(3), 2, 104, &Event::Settled(proved.clone())).unwrap();
    assert_eq!(denied(books.claim(&with(3, 205, Some("a"))).unwrap()), Denial::OtherContent);
}

#[test]
fn what_is_owed_and_never_ends_is_run_so_often_and_no_more() {
    for (content, most) in [(Some("a"), 5), (None, 2)] {
        let database = database();
        let books = Books::opened(&database);
        let claimed = |now: u64| Claim { mode: Mode::Before, content: content.map(Into::into), ..claim(1, now) };
        // What came to nothing before anything was paid does not count.
        for attempt in 1..=9 {
            assert_eq!(books.claim(&claimed(100)).unwrap(), sold(attempt));
            books.record(&key(1), attempt, 100, &Event::Release).unwrap();
        }
        assert_eq!(books.claim(&claimed(100)).unwrap(), sold(10));
        books.record(&key(1), 10, 101, &start()).unwrap();
        assert!(books.record(&key(1), 10, 102, &Event::Paid { movement: moved(), until: 150 }).unwrap());
        // The first time the Worker died; then the origin could not be reached, which counts for nothing; then it never ended.
        let mut now = 150;
        for run in 2..=most {
            for event in [Event::NothingRan, Event::StillOwed] {
                let Reply::Granted { attempt, right: Right::ServeOwed(_) } = books.claim(&claimed(now)).unwrap() else {
                    panic!("run {run} of {most} is not granted")
                };
                assert!(books.record(&key(1), attempt, now, &event).unwrap());
                now += 1;
            }
        }
        assert_eq!(denied(books.claim(&claimed(now)).unwrap()), Denial::Used, "{content:?}");
    }
}

#[test]
fn a_purchase_is_owed_as_often_as_it_takes() {
    let database = database();
    let books = Books::opened(&database);
    let purchase = Purchase {
        package: "small".into(),
        credits: 5,
        lasts_seconds: None,
        amount: "1".into(),
        symbol: "USDC".into(),
        account: Some("a".into()),
    };
    let claimed = |now: u64| Claim { purchase: Some(purchase.clone()), ..claim(1, now) };
    books.claim(&claimed(100)).unwrap();
    books.record(&key(1), 1, 101, &start()).unwrap();
    books.record(&key(1), 1, 102, &Event::Paid { movement: moved(), until: 150 }).unwrap();
    for now in 150..180 {
        let Reply::Granted { attempt, .. } = books.claim(&claimed(now)).unwrap() else { panic!("not at {now}") };
        assert!(books.record(&key(1), attempt, now, &Event::StillOwed).unwrap());
    }
}

#[test]
fn what_ran_in_vain_is_run_so_often_and_moves_nothing() {
    for (content, most) in [(Some("a"), 5), (None, 2)] {
        let database = database();
        let books = Books::opened(&database);
        let claimed = |now: u64| Claim { content: content.map(Into::into), ..claim(1, now) };
        for attempt in 1..=most {
            assert_eq!(books.claim(&claimed(100)).unwrap(), sold(attempt));
            assert!(books.record(&key(1), attempt, 101, &Event::RanInVain).unwrap());
            assert!(!books.record(&key(1), attempt, 101, &Event::RanInVain).unwrap(), "said twice it counts once");
        }
        // Nothing has moved: a fresh challenge is right, and this payment is no more.
        assert_eq!(denied(books.claim(&claimed(102)).unwrap()), Denial::Refused, "{content:?}");
        let looked = books.look(&key(1), &claimed(102).binding, None, 102).unwrap();
        assert_eq!(looked, Reply::Seen { denial: None });
    }
}

#[test]
fn a_payment_that_is_led_on_is_good_for_both_requests_and_then_for_one() {
    let database = database();
    let books = Books::opened(&database);
    let to = |binding: &str, now: u64| Claim { binding: binding.into(), ..claim(1, now) };
    let first = claim(1, 100).binding;
    books.claim(&claim(1, 100)).unwrap();
    assert!(books.record(&key(1), 1, 101, &Event::LedOn { to: "there".into() }).unwrap());
    assert_eq!(denied(books.claim(&to("elsewhere", 102)).unwrap()), Denial::Used);
    assert_eq!(books.claim(&to(&first, 102)).unwrap(), sold(2));
    assert!(books.record(&key(1), 2, 103, &Event::LedOn { to: "there".into() }).unwrap());
    assert_eq!(books.claim(&to("there", 104)).unwrap(), sold(3));
    // Followed, it is bound to where it was led.
    assert!(books.record(&key(1), 3, 105, &Event::Release).unwrap());
    assert_eq!(denied(books.claim(&to(&first, 106)).unwrap()), Denial::Used);
    assert_eq!(books.claim(&to("there", 106)).unwrap(), sold(4));
}

#[test]
fn what_is_paid_and_led_on_is_owed_there_once_and_to_its_buyer() {
    let database = database();
    let books = Books::opened(&database);
    let id = |fingerprint: &str| Some(Identified { id: "an-id-of-the-buyers".into(), fingerprint: fingerprint.into() });
    let to = |binding: &str, now: u64, identified: Option<Identified>| Claim {
        binding: binding.into(),
        identified,
        mode: Mode::Before,
        ..claim(1, now)
    };
    let first = claim(1, 100).binding;
    books.claim(&to(&first, 100, id("one"))).unwrap();
    books.record(&key(1), 1, 101, &start()).unwrap();
    books.record(&key(1), 1, 102, &Event::Paid { movement: moved(), until: 150 }).unwrap();
    assert!(books.record(&key(1), 1, 103, &Event::OwedThere { to: "there".into() }).unwrap());
    // Who copies the payment from the chain has no identifier.
    assert_eq!(denied(books.claim(&to("there", 104, None)).unwrap()), Denial::IdentifierTaken);
    assert_eq!(denied(books.claim(&to("elsewhere", 104, id("other"))).unwrap()), Denial::Used);
    let granted = books.claim(&to("there", 104, id("two"))).unwrap();
    assert_eq!(granted, Reply::Granted { attempt: 3, right: Right::ServeOwed(moved()) });
    assert!(books.record(&key(1), 3, 105, &Event::Answered(moved())).unwrap());
    assert_eq!(
        books.claim(&to("there", 106, id("two"))).unwrap(),
        Reply::Again { answer: None, movement: Some(moved()) }
    );
    assert_eq!(denied(books.claim(&to(&first, 106, None)).unwrap()), Denial::Used);
}
