//! Checks docs/troubleshooting.md against the source: it has every error message of the program, and no other.

use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

/// The messages of the page: each heading of an entry, and what an entry names beside it, in italics.
fn described() -> Vec<String> {
    let (_, entries) = PAGE.split_once("\n### ").unwrap();
    let headings = PAGE.lines().filter_map(|line| line.strip_prefix("### "));
    headings.chain(entries.split('*').skip(1).step_by(2)).map(joined).collect()
}

/// Returns the texts of `#[error("…")]` in the source, with `…` for each value.
fn messages(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(messages(&path));
            continue;
        }
        let source = fs::read_to_string(path).unwrap();
        for attribute in source.split("#[error(").skip(1) {
            let Some((_, rest)) = attribute.split(")]").next().unwrap().split_once('"') else { continue };
            // A backslash joins the parts of a literal that stands on two lines; none has a quotation mark in it.
            let literal = rest.split('"').next().unwrap().replace('\\', "");
            found.push(joined(&without_values(&literal)));
        }
    }
    // Messages that come from a library, or repeat another one.
    found.retain(|message| message.chars().any(char::is_alphabetic));
    found
}

/// The template with `…` for each `{…}`, and one `…` for several beside each other.
fn without_values(template: &str) -> String {
    let mut parts = template.split('{');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let rest = part.split_once('}').unwrap().1;
        if !text.ends_with('…') {
            text.push('…');
        }
        text.push_str(rest);
    }
    text
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn troubleshooting_page_has_every_message() {
    let (mut described, mut messages) = (described(), messages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
    assert!(messages.len() > 100, "they are found: {messages:#?}");
    for list in [&mut described, &mut messages] {
        list.sort();
        list.dedup();
    }
    let only = |one: &[String], other: &[String]| {
        one.iter().filter(|message| !other.contains(message)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(only(&described, &messages), Vec::<String>::new(), "on the page, and not said by the program");
    assert_eq!(only(&messages, &described), Vec::<String>::new(), "said by the program, and not on the page");
}
