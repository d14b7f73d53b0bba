//! A page without what only its authors read: indentation, comments, empty lines, and the spaces that CSS does without. The
//! source stays as people write it; what is hashed for the policy is what is served.

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
            Part::Markup | Part::Script => {
                let kept = if was_quoted { line } else { bare };
                short.push_str(kept);
                // A line's end is a space in markup, and may be the end of a statement.
                short.push('\n');
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_means_the_same() {
        let page = "<p>\n  one\n  two\n</p>\n<style>\n/* words */\n  a:hover, b > c { color: red; margin: 0; }\n</style>\n\
                    <script>\n// words\n\n  /** words */\n  const a = 'http://x'; // stays\n  say(`one\n    two\n\n    // three\n  `);\n  end();\n</script>\n";
        assert_eq!(
            shortened(page),
            "<p>\none\ntwo\n</p>\n<style>\na:hover,b>c{color:red;margin:0}</style>\n\
             <script>\nconst a = 'http://x'; // stays\nsay(`one\n    two\n\n    // three\n  `);\nend();\n</script>\n"
        );
    }
}
