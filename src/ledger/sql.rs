//! What the books need of a database: statements run one after the other, at once, with nothing in between.

use std::fmt::Display;

/// A value in a statement or in a row. Integers stay below 2^53; what may be larger is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `NULL`.
    Null,
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    /// Seconds and counts. What does not fit is the latest that does: an hour beyond the end of time is still later.
    fn from(number: u64) -> Self {
        const LARGEST: u64 = (1 << 53) - 1;
        Self::Integer(i64::try_from(number.min(LARGEST)).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Integer(i64::from(yes))
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row, read by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// A text; empty where there is none.
    #[must_use]
    pub fn text(&self, column: usize) -> String {
        self.optional_text(column).unwrap_or_default()
    }

    /// A text, or nothing.
    #[must_use]
    pub fn optional_text(&self, column: usize) -> Option<String> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// A whole number from 0; 0 where there is none.
    #[must_use]
    pub fn number(&self, column: usize) -> u64 {
        self.optional_number(column).unwrap_or_default()
    }

    /// A whole number; 0 where there is none.
    #[must_use]
    pub fn integer(&self, column: usize) -> i64 {
        match self.0.get(column) {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        }
    }

    /// A whole number from 0, or nothing.
    #[must_use]
    pub fn optional_number(&self, column: usize) -> Option<u64> {
        match self.0.get(column) {
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

/// A database that runs statements synchronously. In a Durable Object that is its SQLite; in the native tests another
/// SQLite, so that they test the very statements.
pub trait Sql {
    /// Why a statement failed.
    type Error: Display;

    /// Runs one statement and reads all of its rows.
    ///
    /// # Errors
    /// Whatever the database says. Nothing is to be concluded from it about money.
    fn run(&self, statement: &str, values: &[Value]) -> Result<Vec<Row>, Self::Error>;
}

/// The tests' SQLite.
#[cfg(test)]
mod native {
    use super::{Row, Sql, Value};
    use rusqlite::types::{ToSqlOutput, ValueRef};
    use rusqlite::{Connection, ToSql};

    impl ToSql for Value {
        fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
            Ok(ToSqlOutput::Borrowed(match self {
                Self::Null => ValueRef::Null,
                Self::Integer(number) => ValueRef::Integer(*number),
                Self::Text(text) => ValueRef::Text(text.as_bytes()),
            }))
        }
    }

    impl Sql for Connection {
        type Error = rusqlite::Error;

        fn run(&self, statement: &str, values: &[Value]) -> Result<Vec<Row>, Self::Error> {
            let mut prepared = self.prepare_cached(statement)?;
            let columns = prepared.column_count();
            let rows = prepared.query_map(rusqlite::params_from_iter(values), |row| {
                (0..columns)
                    .map(|column| {
                        Ok(match row.get_ref(column)? {
                            ValueRef::Integer(number) => Value::Integer(number),
                            ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                            _ => Value::Null,
                        })
                    })
                    .collect::<rusqlite::Result<Vec<_>>>()
                    .map(Row)
            })?;
            rows.collect()
        }
    }
}
