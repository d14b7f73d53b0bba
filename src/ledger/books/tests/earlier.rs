//! Books that earlier versions have written are opened and carried on.

use super::*;

const FIRST: &str = "CREATE TABLE authorizations (asset TEXT NOT NULL, nonce TEXT NOT NULL, binding TEXT NOT NULL,
    state TEXT NOT NULL, attempt INTEGER NOT NULL, lease_until INTEGER NOT NULL, valid_before INTEGER NOT NULL,
    value TEXT NOT NULL, facilitator TEXT NOT NULL, settle_request TEXT NOT NULL, transaction_hash TEXT, reason TEXT,
    answered INTEGER NOT NULL DEFAULT 0, claimed_at INTEGER NOT NULL, changed_at INTEGER NOT NULL,
    PRIMARY KEY (asset, nonce)) WITHOUT ROWID";

#[test]
fn books_of_the_first_version_are_opened_and_carried_on() {
    let database = Connection::open_in_memory().unwrap();
    assert!(!Books::exist(&database).unwrap());
    database.run(FIRST, &[]).unwrap();
    assert!(Books::exist(&database).unwrap());
    for (nonce, state, answered) in [(1, "unknown", 0), (2, "settled", 0), (3, "settled", 1)] {
        database
            .run(
                &format!(
                    "INSERT INTO authorizations VALUES ('0xA', '0x0{nonce}', 'GET /a', '{state}', 1, 140, 400, '1000',
                     'https://f', '{{}}', '0xT', NULL, {answered}, 100, 100)"
                ),
                &[],
            )
            .unwrap();
    }
    let books = Books::open(&database).unwrap();
    Books::open(&database).unwrap();
    assert_eq!(books.outstanding(1_000).unwrap().map(|open| (open.key, open.open.lost)), Some((key(1), true)));
    assert_eq!(books.claim(&claim(2, 200)).unwrap(), Reply::Granted { attempt: 2, right: Right::ServeOwed(moved()) });
    assert_eq!(denied(books.claim(&claim(3, 200)).unwrap()), Denial::Used);
}

/// Every state, with identifiers and a kept answer, as version 5a4e326 has left them in a database.
fn earlier() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch(include_str!("earlier.sql")).unwrap();
    Books::open(&database).unwrap();
    database
}

fn count(database: &Connection, which: &str) -> u64 {
    database.run(&format!("SELECT count(*) FROM {which}"), &[]).unwrap()[0].number(0)
}

#[test]
fn books_of_the_version_before_keep_all_that_they_hold() {
    let database = earlier();
    let books = Books::opened(&database);
    assert_eq!(books.list(None).unwrap().len(), 14);
    assert_eq!(count(&database, "sqlite_master WHERE name = 'identifiers'"), 0);
    let changes = database.total_changes();
    Books::open(&database).unwrap();
    assert_eq!(database.total_changes(), changes, "carried over once");
    // What is over is not among what is looked through: settled and answered, lapsed without a debt, made good.
    let over = database.run("SELECT nonce FROM authorizations WHERE live IS NULL ORDER BY nonce", &[]).unwrap();
    assert_eq!(over.iter().map(|row| row.text(0)).collect::<Vec<_>>(), ["0x03", "0x09", "0x14"]);
}

#[test]
fn an_identifier_of_the_version_before_goes_on_standing_for_its_payment() {
    let database = earlier();
    let books = Books::opened(&database);
    let with = |nonce: u8, id: &str, now: u64| Claim { identified: identified(id, "body"), ..claim(nonce, now) };
    match books.claim(&with(3, "id-3", 300)).unwrap() {
        Reply::Again { answer: Some(answer), movement: Some(_) } => assert_eq!(answer.body, "eA=="),
        other => panic!("{other:?}"),
    }
    for taken in ["id-1", "id-2", "id-3", "id-4", "id-12"] {
        assert_eq!(denied(books.claim(&with(20, taken, 120)).unwrap()), Denial::IdentifierTaken, "{taken}");
    }
    assert_eq!(denied(books.claim(&claim(4, 300)).unwrap()), Denial::IdentifierTaken, "owed, and not to a thief");
    match books.claim(&with(4, "id-4", 300)).unwrap() {
        Reply::Granted { right: Right::ServeOwed(_), .. } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(books.owed_purchases().unwrap().len(), 1);
}

#[test]
fn what_is_open_in_books_of_the_version_before_is_brought_to_an_end() {
    let database = earlier();
    let books = Books::opened(&database);
    assert_eq!(denied(books.claim(&claim(20, 105)).unwrap()), Denial::InDebt);
    assert_eq!(books.next_alarm().unwrap(), Some(108));
    books.sweep(10_000).unwrap();
    let mut found = Vec::new();
    while let Some(open) = books.outstanding(10_000).unwrap() {
        found.push(open.key.nonce.clone());
        assert!(
            books
                .record(
                    &open.key,
                    open.attempt,
                    10_000,
                    &Event::Settled(Movement { transaction: None, evidence: Evidence::Proved })
                )
                .unwrap()
        );
    }
    found.sort();
    // Due (10) waits for what has failed (13).
    assert_eq!(found, ["0x02", "0x06", "0x10", "0x13"]);
    books.sweep(20_000).unwrap();
    assert_eq!(books.next_alarm().unwrap(), None);
}
