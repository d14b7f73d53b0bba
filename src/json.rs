//! Members of JSON tables without indexing, which panics on whatever is no table.

use serde_json::{Map, Value};

/// Sets a member; of what is no table nothing becomes.
pub fn put(target: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(members) = target {
        members.insert(key.to_owned(), value.into());
    }
}

/// A member as a table: what is there and none gives way to an empty one.
pub fn table<'a>(target: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    let member = target.as_object_mut()?.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !member.is_object() {
        *member = Value::Object(Map::new());
    }
    member.as_object_mut()
}
