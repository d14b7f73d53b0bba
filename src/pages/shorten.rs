//! A page without what only its authors read: indentation, comments, empty lines, and the spaces and line ends that CSS and
//! scripts do without. A comment after code is written `/* so */`. The source stays as people write it; what is hashed for the policy is what is served.

/// Where a line stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Markup,
    Style,
    Script,
}

/// The page as it is served. It is read by lines: a comment has lines of its own, and `<style>`, `<script>` and their ends do.
#[must_use]
pub fn shortened(page: &str) -> String {
    let mut short = String::new();
    let mut part = Part::Markup;
    // Within a text over several lines, where every space counts.
    let mut quoted = false;
    for line in page.lines() {
        let bare = line.trim();
        let is_comment = match part {
            _ if quoted => false,
            Part::Markup => false,
            Part::Style => bare.starts_with("/*") && bare.ends_with("*/"),
            Part::Script => bare.starts_with("//") || (bare.starts_with("/*") && bare.ends_with("*/")),
        };
        if is_comment || (bare.is_empty() && !quoted) {
            continue;
        }
        if matches!(bare, "</style>" | "</script>") {
            part = Part::Markup;
        }
        let was_quoted = quoted;
        if part == Part::Script && line.matches('`').count() % 2 == 1 {
            quoted = !quoted;
        }
        match part {
            Part::Style => short.push_str(&styled(bare)),
            Part::Script if !was_quoted => scripted(bare, &mut short),
            Part::Script => short.push_str(line),
            Part::Markup => short.push_str(bare),
        }
        // A line's end is a space in markup, and may be the end of a statement.
        let goes_on = part == Part::Script && !quoted && bare.ends_with([';', '{', ',', '(', '[']);
        if part != Part::Style && !goes_on {
            short.push('\n');
        }
        part = match bare {
            "<style>" => Part::Style,
            "<script>" => Part::Script,
            _ => part,
        };
    }
    short
}

fn styled(line: &str) -> String {
    let mut line = line.to_owned();
    for (wide, narrow) in [(": ", ":"), (" {", "{"), ("{ ", "{"), (", ", ","), ("; ", ";"), (" > ", ">"), (";}", "}")] {
        line = line.replace(wide, narrow);
    }
    line
}

/// Beside these a script needs no space. Not beside `+`, `-` and `/`, which mean another thing when doubled.
const ALONE: &str = "=<>{}(),;:?&|[]!*";

/// What a script's line is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// A string or a template, by its quote.
    Text(char),
    /// `${…}` in a template: how many braces are open.
    Hole(usize),
    /// A regular expression, and whether in a class of it.
    Pattern { class: bool },
}

/// A line of a script without the spaces that mean nothing.
fn scripted(line: &str, short: &mut String) {
    let mut within: Vec<Within> = Vec::new();
    let mut characters = line.chars().peekable();
    // A line goes on from the one before: what stands there is no part of it.
    let mut before = '\n';
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        match (within.last().copied(), character) {
            (Some(Within::Text(_) | Within::Pattern { .. }), '\\') => {
                short.push(character);
                short.extend(characters.next());
                continue;
            }
            (Some(Within::Text(quote)), end) if end == quote => drop(within.pop()),
            (Some(Within::Text('`')), '$') if next == Some('{') => {
                short.push(character);
                short.extend(characters.next());
                within.push(Within::Hole(0));
                before = '{';
                continue;
            }
            (Some(Within::Pattern { class: false }), '/') => drop(within.pop()),
            (Some(Within::Pattern { .. }), '[' | ']') => {
                within.pop();
                within.push(Within::Pattern { class: character == '[' });
            }
            (Some(Within::Text(_) | Within::Pattern { .. }), _) => {}
            (_, '/') if next == Some('*') => {
                characters.next();
                let mut last = ' ';
                for inner in characters.by_ref() {
                    if (last, inner) == ('*', '/') {
                        break;
                    }
                    last = inner;
                }
                continue;
            }
            (_, '\'' | '"' | '`') => within.push(Within::Text(character)),
            (_, '/') if ALONE.contains(before) || before == '\n' => within.push(Within::Pattern { class: false }),
            (_, ' ') => {
                if !ALONE.contains(before) && !next.is_some_and(|next| ALONE.contains(next)) {
                    short.push(' ');
                }
                continue;
            }
            (Some(Within::Hole(open)), '{' | '}') => {
                within.pop();
                match character {
                    '{' => within.push(Within::Hole(open.saturating_add(1))),
                    _ if open > 0 => within.push(Within::Hole(open.saturating_sub(1))),
                    _ => {}
                }
            }
            _ => {}
        }
        short.push(character);
        before = character;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_means_the_same() {
        let page = "<p>\n  one\n  two\n</p>\n<style>\n/* words */\n  a:hover, b > c { color: red; margin: 0; }\n</style>\n\
                    <script>\n// words\n\n  /** words */\n  const a = 'http://x';\n  say(`one\n    two\n\n    // three\n  `);\n  end();\n</script>\n";
        assert_eq!(
            shortened(page),
            "<p>\none\ntwo\n</p>\n<style>\na:hover,b>c{color:red;margin:0}</style>\n\
             <script>\nconst a='http://x';say(`one\n    two\n\n    // three\n  `);end();</script>\n"
        );
    }

    #[test]
    fn no_space_of_a_text_is_lost() {
        for (line, served) in [
            ("return { a, b: [1, 2] };", "return{a,b:[1,2]};"),
            ("if (x === 'a = b') say(\"c, d\", `e => ${f ? `g : ${h}` : 'i ? j'} = k`);", ""),
            ("const a = b / c - d + +e;", "const a=b / c - d + +e;"),
            ("x = /[/ ] = ' , \\/ \"/.test(y) && z;", "x=/[/ ] = ' , \\/ \"/.test(y)&&z;"),
            ("`${[a, { b }].map((c) => `${c} = `)} = ${ d }`;", "`${[a,{b}].map((c)=>`${c} = `)} = ${d}`;"),
            ("'it\\'s = ' + a", "'it\\'s = ' + a"),
            ("try { f() } catch { /* it's no `more` */ }", "try{f()}catch{}"),
            ("? /a = b/ : c in d", "?/a = b/:c in d"),
        ] {
            let mut short = String::new();
            scripted(line, &mut short);
            let served = if served.is_empty() {
                "if(x==='a = b')say(\"c, d\",`e => ${f?`g : ${h}`:'i ? j'} = k`);"
            } else {
                served
            };
            assert_eq!(short, served);
        }
    }
}
