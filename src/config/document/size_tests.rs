//! Settings of 1 MB in odd shapes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;

const SIZE: usize = 1024 * 1024;

/// Without optimization the parser takes ten times as long.
const BOUND: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });

/// Repeats a line, in which `@` becomes its number, up to the size.
fn filled(start: &str, line: &str, end: &str) -> String {
    let mut text = start.to_owned();
    for number in 0.. {
        if text.len() + line.len() + end.len() > SIZE {
            break;
        }
        let _ = write!(text, "{}", line.replace('@', &number.to_string()));
    }
    text + end
}

fn shapes() -> Vec<(&'static str, String)> {
    let context = "contexts:\n  localhost:\n    domain: localhost\n";
    let many = |count: usize, text: &str| text.repeat(count);
    vec![
        ("fields of a context", filled(context, "    f@: x\n", "")),
        ("contexts", filled("contexts:\n", "  c@_io: {domain: c@.io, token: x}\n", "")),
        ("empty contexts", filled("contexts:\n", "  c@:\n", "")),
        ("settings", filled(context, "s@: x\n", "")),
        ("fields in braces", filled("contexts: {localhost: {domain: localhost", ", f@: x", "}}\n")),
        ("list", filled(&format!("{context}    list:\n"), "    - @\n", "")),
        ("list in brackets", filled("list: [x", ", @", "]\n")),
        ("comments", filled(context, "    # @\n", "    token: x\n")),
        ("comments at the end", filled(context, "# @\n", "")),
        ("empty lines", filled(context, "\n", "x: y\n")),
        ("spaces", format!("{context}    token:{}x\n", " ".repeat(SIZE))),
        ("tabs", format!("{context}    token: x{}\n", "\t".repeat(SIZE))),
        ("one word", format!("{context}    token: {}\n", "x".repeat(SIZE))),
        ("many words", format!("{context}    token: {}\n", "x ".repeat(SIZE / 2))),
        ("lines of a plain text", filled(&format!("{context}    token: x\n"), "      x\n", "")),
        ("quoted", format!("{context}    token: \"{}\"\n", "x".repeat(SIZE))),
        ("escapes", format!("{context}    token: \"{}\"\n", "\\u0041".repeat(SIZE / 6))),
        ("quoted quotes", format!("{context}    token: '{}'\n", "''".repeat(SIZE / 2))),
        ("lines of a quoted text", format!("{context}    token: \"{}\"\n", "x\n      ".repeat(SIZE / 8))),
        ("block", filled(&format!("{context}    token: |\n"), "      x\n", "")),
        ("folded block", filled(&format!("{context}    token: >\n"), "      x\n", "")),
        ("empty lines of a block", format!("{context}    token: |\n      x\n{}      x\n", "\n".repeat(SIZE))),
        ("anchors", filled("list:\n", "- &a@ x\n", "")),
        ("aliases", filled("a: &a x\nlist:\n", "- *a\n", "")),
        ("aliased contexts", filled("a: &a {domain: localhost, token: x}\ncontexts:\n", "  c@: *a\n", "")),
        ("aliases of a large context", {
            let fields = (0..20_000).map(|it| format!("f{it}: x, ")).collect::<Vec<_>>().concat();
            filled(&format!("a: &a {{{fields}}}\ncontexts:\n"), "  c@: *a\n", "")
        }),
        ("merges", filled("a: &a {token: x}\ncontexts:\n", "  c@: {<<: *a}\n", "")),
        ("merge of a long list", filled("a: &a {x: y}\ncontexts:\n  localhost:\n    <<: [*a", ", *a", "]\n")),
        ("tags", filled("list:\n", "- !t@ x\n", "")),
        ("keys of other kinds", filled("", "? [@]\n: x\n", "")),
        ("long key", format!("{}: x\n", "x".repeat(SIZE))),
        ("documents", many(SIZE / 4, "---\n")),
        ("open brackets", many(SIZE, "[")),
        ("open braces", many(SIZE / 4, "{a: ")),
        ("dashes", many(SIZE / 2, "- ")),
        ("question marks", many(SIZE / 2, "? ")),
        ("indentation", (0..1_400).map(|it| " ".repeat(it) + "a:\n").collect()),
        ("nested lists", filled("list:\n", &format!("- {}{}\n", many(50, "["), many(50, "]")), "")),
        ("colons", format!("x: {}\n", many(SIZE, ":"))),
        ("same keys", filled("", "x: y\n", "")),
        ("line breaks of two characters", filled(context, "    f@: x\r\n", "")),
        ("letters of four bytes", format!("{context}    token: {}\n", "😀".repeat(SIZE / 4))),
    ]
}

fn read(text: &str) {
    let Ok(document) = Document::parse(text) else { return };
    let domain = "localhost".parse().unwrap();
    document.current_context();
    document.current_domain();
    document.context(&domain);
    document.contexts();
    document.token_left(&domain);
}

#[test]
fn any_megabyte_of_settings_is_read_in_time() {
    for (shape, text) in shapes() {
        let start = Instant::now();
        read(&text);
        let took = start.elapsed();
        assert!(took < BOUND, "{shape}: {took:?}");
    }
}
