//! Paths that only a tolerant origin takes for a priced one.

use super::*;
use crate::http::tolerant::fold;
use std::collections::BTreeMap;

fn config(routes: &Value) -> Config {
    Config::resolve(&bindings(&with("ROUTES", routes.clone()))).unwrap()
}

/// The route of a path, `-` where it has none, or that it is refused.
fn found(config: &Config, method: &str, path: &str) -> String {
    let Ok(path) = CanonicalPath::new(path) else { return "refused".to_owned() };
    match config.route(method, &path) {
        Ok(route) => route.map_or("-", |route| route.pattern.as_str()).to_owned(),
        Err(AmbiguousRoute) => "refused".to_owned(),
    }
}

fn escaped_path(path: &str) -> String {
    path.split('/').map(escaped).collect::<Vec<_>>().join("/")
}

#[test]
fn a_spelling_of_another_price_is_refused() {
    let config = config(
        &json!({ "/secret": "$1", "/any/secret": "$1", "/any/:other": "$0.001", "/file/*": "$2", "/file/open": "free", "/id/k": "$3" }),
    );
    for path in [
        "/\u{17f}ecret",
        "/SECRE\u{ff34}",
        "/secret\u{a0}",
        "/\u{3000}secret",
        "/se\u{200b}cret",
        "/\u{feff}secret",
        "/secret\u{2028}",
        "/secre\u{ad}t",
        "/s\u{e9}cret",
        "/se\u{301}cret",
        "/secret\u{ff0e}",
        "/secret\u{ff1b}x",
        "/secret\u{ff1f}x",
        "/secret\u{85}",
        "/\u{24e2}ecret",
        "/any/\u{17f}ecret",
        "/any/secret\u{3000}",
        "/any/s\u{200b}ecret",
        "/x\u{ff0f}\u{2025}\u{ff0f}secret",
        "/\u{fb01}le/x",
        "/\u{fb01}le/open",
        "/f\u{131}le/x",
        "/f\u{130}le/x",
        "/file\u{ff0f}x",
        "/file/o\u{200d}pen",
        "/secret\u{ff05}20",
    ] {
        assert_eq!(found(&config, "GET", &escaped_path(path)), "refused", "{path:?}");
    }
    for (path, route) in [
        ("/any/caf%C3%A9", "/any/:other"),
        ("/any/%E6%9D%B1%E4%BA%AC", "/any/:other"),
        ("/file/stra%C3%9Fe", "/file/*"),
        ("/file/open/%E2%80%A5/x", "/file/*"),
        ("/id/%E2%84%AA", "/id/k"),
        ("/file/%D0%BE%D1%82%D0%BA%D1%80%D1%8B%D1%82%D0%BE", "/file/*"),
        ("/nothing/%E2%82%AC", "-"),
        ("/%20secret", "refused"),
        ("/any/%20secret", "refused"),
    ] {
        assert_eq!(found(&config, "GET", path), route, "{path}");
    }
}

#[test]
fn names_beyond_ascii_are_matched_and_kept_apart() {
    let config = config(&json!({ "/caf%C3%A9/:id": "$1", "/cafe/:id": "$0.5", "/stra%C3%9Fe": "$2", "/x": "free" }));
    // Both are named: the operator's origin tells them apart.
    assert_eq!(found(&config, "GET", "/caf%C3%A9/7"), "/caf%C3%A9/:id");
    assert_eq!(found(&config, "GET", "/CAF%C3%89/7"), "/caf%C3%A9/:id");
    assert_eq!(found(&config, "GET", "/cafe/7"), "/cafe/:id");
    // In its decomposed form it is neither.
    assert_eq!(found(&config, "GET", "/cafe%CC%81/7"), "refused");
    assert_eq!(found(&config, "GET", "/strasse"), "refused", "an ASCII path may be another's fold");
    assert_eq!(found(&config, "GET", "/x"), "/x");
}

/// For each letter, what folds to it alone.
fn disguises() -> BTreeMap<char, Vec<char>> {
    let mut found: BTreeMap<char, Vec<char>> = BTreeMap::new();
    let blocks = [
        ('\u{a0}', '\u{24f}'),
        ('\u{1d00}', '\u{2183}'),
        ('\u{2460}', '\u{24ff}'),
        ('\u{ff01}', '\u{ff5e}'),
        ('\u{1d400}', '\u{1d7ff}'),
    ];
    for character in blocks.into_iter().flat_map(|(first, last)| first..=last) {
        let folded = fold(&character.to_string());
        let mut characters = folded.chars();
        if let (Some(plain), None) = (characters.next().filter(char::is_ascii_alphanumeric), characters.next()) {
            found.entry(plain).or_default().push(character);
        }
    }
    assert!(found.len() > 30 && found[&'s'].contains(&'\u{17f}'));
    found
}

const HIDDEN: [&str; 9] =
    ["\u{200b}", "\u{ad}", "\u{feff}", "\u{2060}", "\u{200e}", "\u{fe0f}", "\u{301}", "\u{3164}", "\u{180e}"];
const TRIMMED: [&str; 9] =
    ["\u{a0}", "\u{3000}", "\u{2028}", "\u{85}", "\u{2003}", "%20", ".", "\u{ff0e}", "\u{ff1b}x"];

proptest! {
    // Whatever is done to a path that tolerant software undoes, it costs what it costs, or it is refused.
    #[test]
    fn no_spelling_of_a_path_costs_less(
        at in 0..7_usize,
        letters in prop::collection::vec((0..64_usize, 0..64_usize), 0..4),
        hidden in prop::collection::vec((0..64_usize, 0..HIDDEN.len()), 0..3),
        trimmed in prop::option::of(0..TRIMMED.len()),
        upper in any::<bool>(),
        deny in any::<bool>(),
    ) {
        let routes = json!({ "/secret": "$1", "/any/secret": "$1", "/any/:other": "$0.001", "/files/*": "$2", "/files/open": "free", "GET /kind/:k/list": "$3", "/kind/*": "$0.01" });
        let mut vars = with("ROUTES", routes);
        vars["DEFAULT"] = json!(if deny { "deny" } else { "pass" });
        let config = Config::resolve(&bindings(&vars)).unwrap();
        let plain = ["/secret", "/files/a", "/files/open", "/kind/x/list", "/kind/k", "/any/secret", "/any/thing"][at];
        let disguises = disguises();
        let mut spelled: Vec<String> = plain.chars().map(|c| c.to_string()).collect();
        for (place, which) in letters {
            let place = place % spelled.len();
            let others = spelled[place].chars().next().and_then(|c| disguises.get(&c));
            if let Some(others) = others { spelled[place] = others[which % others.len()].to_string(); }
        }
        for (place, which) in hidden {
            let place = 1 + place % (spelled.len() - 1);
            spelled[place].push_str(HIDDEN[which]);
        }
        let mut spelled = escaped_path(&spelled.concat());
        if upper { spelled = spelled.replace("list", "LIST").replace("secret", "Secret"); }
        if let Some(which) = trimmed {
            spelled.push_str(if TRIMMED[which].is_ascii() { TRIMMED[which].to_owned() } else { escaped(TRIMMED[which]) }.as_str());
        }
        let (strict, other) = (found(&config, "GET", plain), found(&config, "GET", &spelled));
        prop_assert!(other == strict || other == "refused", "{spelled} is {other}, and {plain} is {strict}");
    }
}
