//! Names as tolerant software reads them.
//!
//! Some origins compare names without regard to case as Unicode defines it (`ſ` is an `s`, the Kelvin sign a `k`), normalise
//! them (`ｓ` is an `s`, `ﬁ` is `fi`), drop accents, or trim what is invisible. [`fold`] is coarser than each of these: two names
//! that any of them takes for one have the same fold. It decides nothing by itself. It shows where two readings differ.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use std::borrow::Cow;

/// Each round undoes what the one before has uncovered; two are enough for every character that there is.
const MAX_ROUNDS: usize = 4;

/// A name without case, compatibility forms, accents and invisible characters. Every white space is U+0020.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = Cow::Borrowed(text);
    for _ in 0..MAX_ROUNDS {
        let next = round(&folded);
        if next == folded {
            break;
        }
        folded = Cow::Owned(next);
    }
    folded.into_owned()
}

fn round(text: &str) -> String {
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    let mut folded = String::with_capacity(decomposed.len());
    for character in decomposed.chars().filter_map(visible) {
        // By way of upper case: `ſ` and `ı` have lower case of their own, and the upper case of `s` and `i`.
        folded.extend(character.to_uppercase().flat_map(char::to_lowercase));
    }
    folded
}

/// The character, unless it shows nothing or only changes the one before it.
fn visible(character: char) -> Option<char> {
    use GeneralCategory::{
        Control, EnclosingMark, Format, LineSeparator, NonspacingMark, ParagraphSeparator, SpaceSeparator,
    };
    if character.is_whitespace() {
        return Some(' ');
    }
    match character {
        // A mark by its category, and a letter (iota) without case.
        '\u{345}' => return Some('\u{3b9}'),
        // Fillers: letters by their category, which show nothing.
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => return None,
        _ => {}
    }
    match CodePointMapData::<GeneralCategory>::new().get(character) {
        Control | Format | NonspacingMark | EnclosingMark => None,
        SpaceSeparator | LineSeparator | ParagraphSeparator => Some(' '),
        _ => Some(character),
    }
}

/// The letters and digits of a fold: for names whose punctuation some software ignores as well.
#[must_use]
pub fn letters(text: &str) -> String {
    fold(text).chars().filter(|character| character.is_alphanumeric()).collect()
}

/// Whether the letters of a name stand somewhere in a text, which may be long: it is read once, and nothing longer is made of it.
#[must_use]
pub fn is_within(name: &str, text: &str) -> bool {
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd();
    let mut seen = String::with_capacity(text.len());
    let visible = decomposed.normalize_iter(text.chars()).filter_map(visible);
    for character in visible.flat_map(char::to_uppercase).flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()) {
        match (character.is_ascii(), seen.ends_with('?')) {
            (true, _) => seen.push(character),
            (false, false) => seen.push('?'),
            (false, true) => {}
        }
    }
    seen.contains(&letters(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use icu_normalizer::ComposingNormalizerBorrowed;

    #[test]
    fn what_tolerant_software_takes_for_one_name_has_one_fold() {
        for spelling in [
            "SECRET",
            "\u{17f}ecret",
            "\u{ff33}\u{ff45}cret",
            "se\u{301}cret",
            "s\u{e9}cret",
            "s\u{200b}ecret",
            "\u{feff}secret",
            "se\u{ad}cret",
            "\u{24e2}ecret",
            "secre\u{2060}t",
            "\u{1d42c}ecret",
            "secret\u{fe0f}",
        ] {
            assert_eq!(fold(spelling), "secret", "{spelling:?}");
        }
        for (spelling, plain) in [
            ("\u{fb01}le", "file"),
            ("\u{130}d", "id"),
            ("\u{131}d", "id"),
            ("\u{212a}ey", "key"),
            ("stra\u{df}e", "strasse"),
            ("stra\u{1e9e}e", "strasse"),
            ("a\u{a0}b\u{3000}c\u{2028}d", "a b c d"),
            ("a\u{ff0f}b", "a/b"),
            ("\u{2025}", ".."),
            ("\u{3a3}\u{3c2}\u{3c3}", "\u{3c3}\u{3c3}\u{3c3}"),
        ] {
            assert_eq!(fold(spelling), plain, "{spelling:?}");
        }
        assert!(
            is_within("tools/call", "x\u{ff54}ool\u{17f}.\u{200b}Call")
                && !is_within("tools/call", "tools \u{e9} call")
        );
        assert_eq!(letters(" Tool\u{17f}/call\u{a0}"), "toolscall");
    }

    #[test]
    fn the_fold_of_every_character_is_that_of_all_its_readings() {
        let nfkc = ComposingNormalizerBorrowed::new_nfkc();
        let nfc = ComposingNormalizerBorrowed::new_nfc();
        // Ideographs and syllables have no case, and a slow test of them shows nothing.
        let scripts = ('\0'..='\u{2fff}').chain('\u{3000}'..='\u{33ff}').chain('\u{a000}'..='\u{abff}');
        for character in scripts.chain('\u{d7a4}'..='\u{1ffff}').chain('\u{e0000}'..='\u{e01ff}') {
            let text = character.to_string();
            let folded = fold(&text);
            assert_eq!(fold(&folded), folded, "{text:?} is not folded to the end");
            for reading in
                [text.to_lowercase(), text.to_uppercase(), nfc.normalize(&text).into(), nfkc.normalize(&text).into()]
            {
                // What is trimmed from an end is trimmed from both.
                assert_eq!(fold(&reading).trim(), folded.trim(), "{text:?} read as {reading:?}");
            }
        }
    }
}
