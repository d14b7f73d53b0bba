//! Data on its way into a page. Its texts are the operator's, or a caller's: none of them may become markup.

use serde_json::Value;

/// JSON as the content of a `<script type="application/json">`. There no entity is read, so what could end the element, or
/// be taken for a line's end by an old parser, is written as JSON's own escape. All of it can only stand within strings.
#[must_use]
pub fn json(value: &Value) -> String {
    let mut safe = String::new();
    for character in value.to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => safe.push(other),
        }
    }
    safe
}

/// Those of these values that there is room for, as a list that is embedded has them; what they take is used up.
pub fn as_many_as_fit(values: impl IntoIterator<Item = Value>, room: &mut usize) -> Vec<Value> {
    let mut found = Vec::new();
    for value in values {
        if let Some(left) = room.checked_sub(json(&value).len().saturating_add(1)) {
            *room = left;
            found.push(value);
        }
    }
    found
}

/// Text as the content of an element, or as an attribute's value in quotes.
#[must_use]
pub fn text(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A template with its places filled, each once, in the order in which they stand in it: what is filled in is not searched.
#[must_use]
pub fn fill(template: &str, places: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    for (place, with) in places {
        if let Some((before, after)) = rest.split_once(place) {
            filled.push_str(before);
            filled.push_str(with);
            rest = after;
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_filled_in_is_not_searched() {
        assert_eq!(fill("a {1} b {2} c", &[("{1}", "{2}"), ("{2}", "{1}")]), "a {2} b {1} c");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_script(text in "(.|<|>|&|/|!|-|\u{2028}|\u{2029}|</script>|<!--)*") {
            let value = json!({ "text": &text, (text): [1] });
            let embedded = json(&value);
            prop_assert!(!embedded.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{embedded}");
            prop_assert_eq!(serde_json::from_str::<Value>(&embedded).unwrap(), value);
        }

        #[test]
        fn no_text_becomes_markup(written in ".*") {
            let safe = text(&written);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']), "{safe}");
        }
    }
}
