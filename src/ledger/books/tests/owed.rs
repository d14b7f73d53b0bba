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
