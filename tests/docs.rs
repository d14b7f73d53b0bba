//! What the documents say is what the source says: codes, variables, settings, links, the tests that they point to, and
//! every configuration that they show, with what `make check` makes of it. What is run, `tests/e2e/docs.test.mjs` runs.
//!
//! `EDGE402_DOCS=update cargo test --test docs` writes anew what `make check` says below each configuration.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::string_slice)]
#![allow(clippy::panic)]
#![cfg(not(target_family = "wasm"))]

use edge402::config::{Area, Config, wrangler};
use edge402::http::problem::Code;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README.md and all of docs/, by their paths from the root.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::from([("README.md".to_owned(), read("README.md"))]);
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            pages.insert(format!("docs/{name}"), read(&format!("docs/{name}")));
        }
    }
    assert!(pages.len() > 8, "the documents are not where this test looks");
    pages
}

/// A fenced block.
#[derive(Clone, Debug)]
struct Block {
    language: String,
    /// Its first line, counted from 1.
    line: usize,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { language: language.trim().to_owned(), line: number + 2, text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    found
}

/// The page without its fenced blocks: prose, in which a link is a link.
fn prose(page: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in page.lines() {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        if !inside && !fence {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    kept
}

fn source_files(folder: &str) -> String {
    let mut text = String::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

/// The literals of the lists that follow each `start` in a source, within the same call or constant.
fn literals_after<'a>(source: &'a str, start: &str) -> Vec<Vec<&'a str>> {
    let after = |at: usize| {
        let rest = source[at + start.len()..].split(')').next().unwrap_or_default();
        let list = rest.find('[').map_or("", |open| &rest[open..]);
        // A type comes before the list: `[&str; 19] = [`.
        let list = if list.starts_with("[&") && !list.starts_with("[\"") {
            list.split_once('=').map_or("", |(_, list)| list)
        } else {
            list
        };
        let list = &list[..list.find(']').unwrap_or(0)];
        list.split('"').skip(1).step_by(2).collect::<Vec<_>>()
    };
    source.match_indices(start).map(|(at, _)| after(at)).collect()
}

// Codes

/// The rows of the page's tables that begin with a code: the code, and the status beside it.
fn rows(page: &str) -> Vec<(String, u16)> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let code = cells.next()?.trim().strip_suffix('`')?.to_owned();
        Some((code, cells.next()?.trim().parse().ok()?))
    };
    page.lines().filter_map(row).collect()
}

#[test]
fn every_code_is_on_the_troubleshooting_page_once_with_its_status() {
    let told = rows(&read("docs/troubleshooting.md"));
    for code in Code::ALL {
        let found: Vec<_> = told.iter().filter(|(name, _)| name == code.as_str()).map(|(_, status)| *status).collect();
        assert_eq!(found, [code.status()], "{} in docs/troubleshooting.md", code.as_str());
    }
    let known: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let unknown: Vec<_> = told.iter().filter(|(name, _)| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "docs/troubleshooting.md has codes that are none: {unknown:?}");
}

#[test]
fn rows_are_read_as_they_are_written() {
    let page = "| code | status |\n| --- | --- |\n| `a_b` | 402 | why |\n| `c` | why |\ntext `d` 402\n";
    assert_eq!(rows(page), [("a_b".to_owned(), 402)]);
}

/// The same rows: the code, and all the cells beside it.
fn cells(page: &str) -> Vec<(String, Vec<String>)> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
        let code = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((code.to_owned(), cells.map(str::to_owned).collect()))
    };
    page.lines().filter_map(row).collect()
}

/// Whether a cell tells somebody something.
fn says_something(cell: &str) -> bool {
    !["", "-", "nothing", "(not yours)"].contains(&cell)
}

#[test]
fn every_code_has_a_cause_and_a_cure() {
    let told = cells(&read("docs/troubleshooting.md"));
    assert_eq!(told.len(), Code::ALL.len(), "rows that begin with a code");
    for (code, cells) in told {
        let [_, cause, buyer, operator] = cells.as_slice() else {
            panic!("{code}: not a status, what happened, the buyer and the operator, but {cells:?}");
        };
        assert!(says_something(cause), "{code}: what happened is not told");
        assert!(!buyer.is_empty(), "{code}: say \"nothing\" or \"(not yours)\" where the buyer can do nothing");
        assert!(!operator.is_empty(), "{code}: say \"nothing\" where the operator can do nothing");
        assert!(says_something(buyer) || says_something(operator), "{code}: nobody is told what to do");
    }
}

#[test]
fn cells_are_read_as_they_are_written() {
    let page = "| code | status |\n| --- | --- |\n| `a_b` | 402 | why | | nothing |\ntext `d` 402\n";
    let read = cells(page);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].0, "a_b");
    assert_eq!(read[0].1, ["402", "why", "", "nothing"]);
    assert!(!says_something(&read[0].1[2]) && !says_something(&read[0].1[3]) && says_something(&read[0].1[1]));
}

// Variables and settings

/// Whether a name stands somewhere as code: in backticks or in a block.
fn is_named(pages: &BTreeMap<String, String>, name: &str) -> bool {
    let word = |text: &str| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == name);
    pages.values().any(|page| {
        blocks(page).iter().any(|block| word(&block.text)) || prose(page).split('`').skip(1).step_by(2).any(word)
    })
}

#[test]
fn every_variable_and_every_setting_is_named() {
    let pages = pages();
    let source = source_files("src/config");
    let bindings = read("src/config/bindings.rs");
    let variables = literals_after(&bindings, "const KNOWN:").concat();
    assert!(variables.len() > 15 && variables.contains(&"ROUTES"), "KNOWN is not where this test looks: {variables:?}");
    let settings =
        [literals_after(&source, "const MEMBERS:").concat(), literals_after(&source, "Members::new(").concat()]
            .concat();
    for setting in ["price", "credits", "expires_days", "url"] {
        assert!(settings.contains(&setting), "the settings are not where this test looks: {settings:?}");
    }
    let missing: Vec<_> = variables
        .iter()
        .chain(&settings)
        .filter(|name| !is_named(&pages, name))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert!(missing.is_empty(), "neither README.md nor docs/ name {missing:?}");
    assert!(!is_named(&pages, "PAY_TOO"));
}

// What mistakes close, and what is a warning

/// The names in backticks in a cell.
fn named_in(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn what_a_mistake_closes_is_told_for_every_variable() {
    let page = read("docs/troubleshooting.md");
    let bindings = read("src/config/bindings.rs");
    let known = literals_after(&bindings, "const KNOWN:").concat();
    for area in ["everything", "sales", "credits", "admin", "documents"] {
        let row =
            page.lines().find(|line| line.starts_with(&format!("| {area} | "))).unwrap_or_else(|| panic!("{area}"));
        let told = named_in(row.split('|').nth(2).unwrap());
        let closing: BTreeSet<_> = known.iter().copied().filter(|name| Area::of(name).as_str() == area).collect();
        assert_eq!(told, closing, "the row {area} in docs/troubleshooting.md");
    }
}

#[test]
fn every_warning_is_told_and_no_other() {
    let page = read("docs/troubleshooting.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| \"")?.split_once("\" |").map(|(said, _)| said));
    let told: Vec<_> = rows.collect();
    assert!(told.len() > 8, "the warnings are not where this test looks: {told:?}");
    let mut count = 0;
    for entry in fs::read_dir(root().join("src/config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for (at, _) in source.match_indices("mistakes.warn(") {
            count += 1;
            // The call, and what it says where that is put together before it.
            let near: String = source[..at].lines().rev().take(16).chain(source[at..].lines().take(6)).collect();
            assert!(
                told.iter().any(|said| near.contains(said)),
                "{}: a warning that is not told: {near}",
                path.display()
            );
        }
    }
    assert!(count > 8, "no warnings in the source: {count}");
    let source = source_files("src/config");
    let gone: Vec<_> = told.iter().filter(|said| !source.contains(**said)).collect();
    assert!(gone.is_empty(), "docs/troubleshooting.md has warnings that are none: {gone:?}");
}

// Links

/// A heading as it is linked to on GitHub.
fn anchor(heading: &str) -> String {
    let mut words = String::new();
    for c in heading.trim().to_lowercase().chars() {
        match c {
            ' ' => words.push('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => words.push(c),
            _ => {}
        }
    }
    words
}

fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in prose(page).lines().filter(|line| line.starts_with('#')) {
        let plain = anchor(line.trim_start_matches('#'));
        let again = (1..).map(|n| format!("{plain}-{n}"));
        let free = std::iter::once(plain.clone()).chain(again).find(|anchor| !found.contains(anchor)).unwrap();
        found.insert(free);
    }
    found
}

/// The targets of links in prose, of images too; not of those within code.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let plain: String = prose.split('`').step_by(2).collect::<Vec<_>>().join("code");
    plain
        .match_indices("](")
        .filter_map(|(at, _)| plain[at + 2..].split_once(')').map(|(target, _)| target.to_owned()))
        .collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let pages = pages();
    let mut broken = Vec::new();
    let mut count = 0;
    for (path, page) in &pages {
        for target in links(page) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, fragment) = target.split_once('#').map_or((target.as_str(), None), |(f, a)| (f, Some(a)));
            let there = if file.is_empty() { path.clone() } else { resolved(path, file) };
            if !root().join(&there).exists() {
                broken.push(format!("{path} -> {target}: no such file"));
            } else if let (Some(fragment), Some(page)) = (fragment, pages.get(&there))
                && !anchors(page).contains(fragment)
            {
                broken.push(format!("{path} -> {target}: no such heading"));
            }
        }
    }
    assert!(count > 20, "there are no links: {count}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The target of a link on a page, from the root.
fn resolved(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn links_and_headings_are_read_as_github_reads_them() {
    assert_eq!(anchor(" What happens to the money"), "what-happens-to-the-money");
    assert_eq!(anchor("`ORIGIN_SECRET`, and why it's set"), "origin_secret-and-why-its-set");
    assert_eq!(anchors("# A\n## A\n```\n# no\n```\n"), BTreeSet::from(["a".to_owned(), "a-1".to_owned()]));
    assert_eq!(links("[a](b.md#c) `[no](x)` ![i](d.png)\n```\n[no](y)\n```\n"), ["b.md#c", "d.png"]);
    assert_eq!(resolved("docs/a.md", "../README.md"), "README.md");
    assert_eq!(resolved("docs/a.md", "b.md"), "docs/b.md");
}

// Tests that a page points to

/// Pairs of a file and what must stand in it, written `file`: *title*.
fn pointers(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in page.match_indices("`: *") {
        let file = page[..at].rsplit('`').next().unwrap_or_default();
        let title = page[at + 4..].split('*').next().unwrap_or_default();
        // It may go on in the next line.
        found.push((file.to_owned(), title.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    found
}

#[test]
fn every_test_that_is_pointed_to_is_there() {
    let mut count = 0;
    for (path, page) in pages() {
        for (file, title) in pointers(&page) {
            count += 1;
            assert!(root().join(&file).is_file(), "{path} names {file}, which is not there");
            assert!(read(&file).contains(&title), "{path}: {file} has no test {title:?}");
        }
    }
    assert!(count > 30, "nothing points to a test: {count}");
}

// Configurations

/// wrangler.toml's own keys that a page may show.
const WRANGLERS: [&str; 12] = [
    "name",
    "main",
    "vars",
    "services",
    "routes",
    "workers_dev",
    "kv_namespaces",
    "durable_objects",
    "migrations",
    "observability",
    "compatibility_date",
    "compatibility_flags",
];

/// The committed wrangler.toml with what a page shows: keys of the file, lines of `[vars]`, or lines of `[vars.ROUTES]`.
/// A variable that is shown replaces the file's.
fn completed(shown: &str) -> Result<String, String> {
    let shown: Table = shown.parse().map_err(|error| format!("{error}"))?;
    let mut file: Table = read("wrangler.toml").parse().unwrap();
    let bindings = read("src/config/bindings.rs");
    let known = literals_after(&bindings, "const KNOWN:").concat();
    let is_variable = |key: &str| known.iter().any(|known| key == *known || key.starts_with(&format!("{known}_")));
    let variables = if shown.keys().all(|key| key.contains('/')) {
        Table::from_iter([("ROUTES".to_owned(), Value::Table(shown))])
    } else if shown.keys().all(|key| is_variable(key)) {
        shown
    } else {
        let mut variables = Table::new();
        for (key, value) in shown {
            match (key.as_str(), value) {
                ("vars", Value::Table(shown)) => variables = shown,
                (key, value) if WRANGLERS.contains(&key) => drop(file.insert(key.to_owned(), value)),
                (key, _) => return Err(format!("{key} is neither wrangler's nor a variable")),
            }
        }
        variables
    };
    let by_service = file.get("services").is_some_and(|services| services.to_string().contains("ORIGIN_SERVICE"));
    let real_money = variables.get("NETWORKS").is_some_and(|networks| networks.to_string().contains("eip155:8453"));
    let vars = file.get_mut("vars").and_then(Value::as_table_mut).unwrap();
    // Whoever sells for real money has put an address of his own there by then.
    if real_money {
        vars.insert("PAY_TO".to_owned(), "0x1111111111111111111111111111111111111111".into());
    }
    vars.extend(variables);
    if by_service {
        vars.remove("ORIGIN");
    }
    toml::to_string(&file).map_err(|error| format!("{error}"))
}

/// What `make check` says of a wrangler.toml with this text.
fn checked(text: &str) -> String {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("docs-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("wrangler.toml"), text).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_edge402-check")).current_dir(&folder).output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    String::from_utf8(run.stdout).unwrap() + &String::from_utf8(run.stderr).unwrap()
}

fn is_output(block: &Block) -> bool {
    block.language == "text" && (block.text.starts_with("PATTERN") || block.text.starts_with("wrangler.toml: "))
}

/// Every configuration of a page, and the output that stands below it; the command may stand between the two.
fn configurations(page: &str) -> Vec<(Block, Option<Block>)> {
    let blocks = blocks(page);
    let follows = |at: usize| {
        let asked = blocks.get(at + 1).is_some_and(|next| next.language == "sh" && next.text == "make check\n");
        blocks.get(at + if asked { 2 } else { 1 }).filter(|next| is_output(next)).cloned()
    };
    let all = blocks.iter().enumerate();
    all.filter(|(_, block)| block.language == "toml").map(|(at, block)| (block.clone(), follows(at))).collect()
}

#[test]
fn every_configuration_that_is_shown_is_in_order_or_has_the_mistakes_that_are_shown() {
    let mut count = 0;
    for (path, page) in pages() {
        for (shown, output) in configurations(&page) {
            count += 1;
            let place = format!("{path}:{}", shown.line);
            let text = completed(&shown.text).unwrap_or_else(|error| panic!("{place}: {error}"));
            if output.is_some_and(|output| output.text.starts_with("wrangler.toml: ")) {
                continue;
            }
            let (bindings, wiring) = wrangler::read(&text, None).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert!(wiring.is_empty(), "{place}: {wiring}");
            if let Err(mistakes) = Config::resolve_file(&bindings) {
                panic!("{place}: {mistakes}");
            }
        }
    }
    assert!(count > 15, "no page shows a configuration: {count}");
}

#[test]
fn what_make_check_is_shown_to_say_is_what_it_says() {
    let update = std::env::var("EDGE402_DOCS").is_ok_and(|what| what == "update");
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, page) in pages() {
        let mut lines: Vec<String> = page.lines().map(ToOwned::to_owned).collect();
        for (shown, output) in configurations(&page).into_iter().rev() {
            let Some(output) = output else {
                assert_ne!(path, "docs/pricing.md", "line {}: a recipe without what `make check` says", shown.line);
                continue;
            };
            count += 1;
            let text = completed(&shown.text).unwrap_or_else(|error| panic!("{path}:{}: {error}", shown.line));
            let said = checked(&text);
            if said == output.text {
                continue;
            }
            wrong.push(format!("{path}:{} is shown as\n{}and says\n{said}", shown.line, output.text));
            let first = output.line - 1;
            lines.splice(first..first + output.text.lines().count(), said.lines().map(ToOwned::to_owned));
        }
        if update {
            fs::write(root().join(&path), lines.join("\n") + "\n").unwrap();
        }
    }
    assert!(count > 10, "no page shows what `make check` says: {count}");
    assert!(update || wrong.is_empty(), "{}\n(EDGE402_DOCS=update writes what it says)", wrong.join("\n"));
}

#[test]
fn a_fragment_is_completed_and_a_slip_in_it_is_noticed() {
    let whole = |shown| -> Table { completed(shown).unwrap().parse().unwrap() };
    let routes = |file: &Table| file["vars"]["ROUTES"].as_table().unwrap().len();
    assert_eq!(routes(&whole("\"GET /a\" = \"$1\"")), 1);
    assert_eq!(whole("DEFAULT = \"deny\"")["vars"]["DEFAULT"].as_str(), Some("deny"));
    assert_eq!(routes(&whole("[vars.ROUTES]\n\"/a\" = \"$1\"\n\"/b\" = \"$1\"")), 2);
    assert!(completed("[varz]\nDEFAULT = \"deny\"").is_err());
    assert!(completed("ROUTZ = 1\nDEFAULT = \"deny\"").is_err());
    assert!(checked(&completed("DEFAULT = \"denny\"").unwrap()).starts_with("wrangler.toml: 1 mistake"));
}
