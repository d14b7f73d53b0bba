//! What the books cost: rows written and looked at. The platform counts a new table as two rows and a new index as one, an
//! entry of an index as a row when it is written and not when it goes. (Measured in workerd, by `rowsWritten`.)

use super::*;
use crate::ledger::sql::{Row, Value};
use std::cell::RefCell;

/// Counts what is written, and says how each statement is looked up.
struct Counted {
    database: Connection,
    statements: RefCell<Vec<String>>,
}

impl Sql for Counted {
    type Error = rusqlite::Error;

    fn run(&self, statement: &str, values: &[Value]) -> Result<Vec<Row>, Self::Error> {
        self.statements.borrow_mut().push(statement.to_owned());
        self.database.run(statement, values)
    }
}

const INDEXED: [(&str, &str, &str); 3] = [
    ("live", "live", "live IS NOT NULL"),
    ("settling_transaction", "transaction_hash", "evidence IS NOT NULL"),
    ("identified", "identifier", "identifier IS NOT NULL"),
];

impl Counted {
    fn new() -> Self {
        Self { database: Connection::open_in_memory().unwrap(), statements: RefCell::default() }
    }

    fn made(&self) -> (Vec<String>, Vec<Vec<Row>>) {
        let rows = |statement: &str| self.database.run(statement, &[]).unwrap();
        let made = rows("SELECT type || ' ' || name FROM sqlite_master WHERE sql IS NOT NULL");
        let made: Vec<String> = made.iter().map(|row| row.text(0)).collect();
        let entries = INDEXED.iter().map(|(index, column, entered)| {
            if !made.contains(&format!("index {index}")) {
                return Vec::new();
            }
            rows(&format!("SELECT {column}, asset, nonce FROM authorizations WHERE {entered}"))
        });
        let entries = entries.collect();
        (made, entries)
    }

    /// Rows that this writes.
    fn rows<T>(&self, what: impl FnOnce(&Books<'_, Self>) -> T) -> u64 {
        let ((made, entries), changes) = (self.made(), self.database.total_changes());
        what(&Books { sql: self });
        let (now_made, now_entries) = self.made();
        let tables = now_made.iter().filter(|name| !made.contains(name));
        let tables: u64 = tables.map(|name| if name.starts_with("table") { 2 } else { 1 }).sum();
        let entered: usize = entries
            .iter()
            .zip(&now_entries)
            .map(|(before, after)| after.iter().filter(|entry| !before.contains(entry)).count())
            .sum();
        self.database.total_changes() - changes + tables + u64::try_from(entered).unwrap()
    }

    /// Payments that are settled and answered.
    fn history(&self, length: u32) {
        let books = Books::open(self).unwrap();
        for at in 0..length {
            let key = Key { asset: "0xA".into(), nonce: format!("old {at}") };
            let id = Some(Identified { id: format!("old {at}"), fingerprint: "f".into() });
            books.claim(&Claim { key: key.clone(), identified: id, ..claim(1, 10) }).unwrap();
            books.record(&key, 1, 11, &start()).unwrap();
            let moved = Movement { transaction: Some(format!("0x{at}")), evidence: Evidence::Told };
            books.record(&key, 1, 12, &Event::Answered(moved)).unwrap();
        }
        books.sweep(60).unwrap();
    }
}

fn buy(counted: &Counted, nonce: u8, identified: Option<Identified>) -> [u64; 3] {
    [
        counted.rows(|_| Books::open(counted).unwrap().claim(&Claim { identified, ..claim(nonce, 100) }).unwrap()),
        counted.rows(|books| books.record(&key(nonce), 1, 101, &start()).unwrap()),
        counted.rows(|books| {
            let moved = Movement { transaction: Some(format!("0xT{nonce}")), evidence: Evidence::Told };
            books.record(&key(nonce), 1, 102, &Event::Answered(moved)).unwrap()
        }),
    ]
}

#[test]
fn a_stranger_without_money_costs_five_rows_and_leaves_none() {
    for id in [None, identified("id", "body")] {
        let counted = Counted::new();
        assert_eq!(
            counted.rows(|_| Books::open(&counted).unwrap().claim(&Claim { identified: id, ..claim(1, 100) })),
            3
        );
        assert_eq!(counted.rows(|books| books.record(&key(1), 1, 101, &start()).unwrap()), 1);
        let refused = Event::Refused { reason: "insufficient_funds".into() };
        assert_eq!(counted.rows(|books| books.record(&key(1), 1, 102, &refused).unwrap()), 1);
        assert_eq!(counted.rows(|books| books.claim(&claim(1, 103)).unwrap()), 0, "the same again");
        assert_eq!(counted.rows(|books| books.sweep(145).unwrap()), 0);
        let books = Books { sql: &counted };
        assert_eq!(books.next_alarm().unwrap(), Some(102 + KEEP_SECONDS));
        assert_eq!(counted.rows(|books| books.sweep(102 + KEEP_SECONDS).unwrap()), 1);
        assert!(books.is_empty().unwrap());
        assert_eq!(books.next_alarm().unwrap(), None);
    }
}

#[test]
fn a_paid_call_costs_three_rows_and_five_of_a_payer_with_a_history() {
    let counted = Counted::new();
    assert_eq!(buy(&counted, 1, None), [3, 1, 1]);
    assert_eq!(buy(&counted, 2, identified("id", "body")), [1, 1, 1]);
    let counted = Counted::new();
    counted.history(40);
    assert_eq!(buy(&counted, 1, None), [2, 1, 2]);
    assert_eq!(buy(&counted, 2, identified("id", "body")), [3, 1, 2]);
    assert_eq!(counted.rows(|books| books.sweep(200).unwrap()), 0);
}

#[test]
fn a_deferred_call_costs_four_rows_and_six_of_a_payer_with_a_history() {
    for (history, rows) in [(0, [3, 1, 1, 1]), (40, [2, 1, 1, 2])] {
        let counted = Counted::new();
        if history > 0 {
            counted.history(history);
        }
        let moved = Movement { transaction: Some("0xT1".into()), evidence: Evidence::Told };
        let record = |event: Event| counted.rows(|books| assert!(books.record(&key(1), 1, 102, &event).unwrap()));
        let cost = [
            counted.rows(|_| Books::open(&counted).unwrap().claim(&deferred(1, 100)).unwrap()),
            record(Event::Serve),
            record(Event::StartCollecting { until: 200 }),
            record(Event::Settled(moved)),
        ];
        assert_eq!(cost, rows);
    }
}

#[test]
fn nothing_that_a_request_or_an_alarm_does_looks_through_a_history() {
    let counted = Counted::new();
    counted.history(40);
    counted.statements.borrow_mut().clear();
    buy(&counted, 1, identified("id", "body"));
    let books = Books { sql: &counted };
    let kept = StoredAnswer { status: 200, headers: Vec::new(), body: String::new(), until: 700 };
    books.store(&key(1), &kept).unwrap();
    books.claim(&Claim { identified: identified("id", "body"), ..claim(1, 200) }).unwrap();
    books.claim(&deferred(2, 200)).unwrap();
    books.record(&key(2), 1, 201, &Event::Serve).unwrap();
    books.look(&key(3), "GET /a", identified("x", "").as_ref(), 202).unwrap();
    books.claim(&Claim { binding: "GET /b".into(), ..claim(2, 200) }).unwrap();
    books.list(Some("0x02")).unwrap();
    books.owed_purchases().unwrap();
    books.outstanding(203).unwrap();
    books.next_alarm().unwrap();
    books.sweep(204).unwrap();
    books.is_empty().unwrap();
    for statement in counted.statements.borrow().iter() {
        if statement.starts_with("CREATE") || statement.contains("LIMIT 1 OFFSET") || statement.ends_with("LIMIT 1") {
            continue;
        }
        let mut explained = counted.database.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let steps = explained.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>().unwrap();
        for step in steps {
            let whole = step.starts_with("SCAN") && !step.contains("INDEX live") && !step.contains("CONSTANT ROW");
            let small = ["assets", "answers", "sqlite_master", "(subquery", "(join"].iter().any(|s| step.contains(s));
            assert!(!whole || small, "{step} in {statement}");
        }
    }
}
