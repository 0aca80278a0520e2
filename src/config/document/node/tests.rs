use std::fmt::Write as _;
use std::time::Duration;

use crate::config::document::{Document, DocumentError};
use crate::domain::Domain;
use crate::token::AccessToken;

const DOMAIN: &str = "localhost:9000";

/// Texts with a token that the Go CLI reads for the current context, and the key of the token. A YAML 1.2 reader could
/// understand them differently. Tried with the Go CLI's library, viper.
const READ_BY_GO: [(&str, Option<&str>); 23] = [
    ("b: &b {TOKEN}\ncontext: DOMAIN\ncontexts:\n  DOMAIN: *b\n", Some("DOMAIN.token")),
    ("b: &b\n  DOMAIN: {TOKEN}\ncontext: DOMAIN\ncontexts: *b\n", Some("DOMAIN.token")),
    ("b: &b Bearer eyJT\ncontext: DOMAIN\ncontexts:\n  DOMAIN:\n    token: *b\n", Some("DOMAIN.token")),
    ("b: &k token\ncontext: DOMAIN\ncontexts:\n  DOMAIN:\n    *k : Bearer eyJT\n", Some("DOMAIN.token")),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    <<: {TOKEN}\n    domain: DOMAIN\n", Some("DOMAIN.token")),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    !!merge '<<': {TOKEN}\n", Some("DOMAIN.token")),
    ("b: &b {TOKEN}\ncontext: DOMAIN\ncontexts:\n  DOMAIN:\n    <<: *b\n", Some("DOMAIN.token")),
    ("b: &b {TOKEN}\ncontext: DOMAIN\ncontexts:\n  DOMAIN:\n    <<: [{x: y}, *b]\n", Some("DOMAIN.token")),
    ("b: &b\n  DOMAIN: {TOKEN}\ncontext: DOMAIN\ncontexts:\n  <<: *b\n", Some("DOMAIN.token")),
    ("a: &a {TOKEN}\nb: &b {<<: *a}\ncontext: DOMAIN\ncontexts:\n  DOMAIN:\n    <<: *b\n", Some("DOMAIN.token")),
    ("<<: {contexts: {'DOMAIN': {TOKEN}}}\ncontext: DOMAIN\n", Some("DOMAIN.token")),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    to\u{212a}en: Bearer eyJT\n", Some("DOMAIN.token")),
    ("context: foo\ncontexts:\n  foo:\n    domain: DOMAIN\n    TOKEN\n", Some("foo.token")),
    ("context: DOMAIN\ncontexts.DOMAIN:\n    TOKEN\n", Some("DOMAIN.token")),
    ("context: DOMAIN\ncontexts.DOMAIN.token: Bearer eyJT\n", Some("DOMAIN.token")),
    ("context: DOMAIN\ncontexts:\n  DOMAIN.token: Bearer eyJT\n", Some("DOMAIN.token")),
    // Refused as a whole.
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    domain: DOMAIN # note\u{2028}    TOKEN\n", None),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    # note\u{2029}    TOKEN\n    domain: DOMAIN\n", None),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    # note\u{85}    TOKEN\n    domain: DOMAIN\n", None),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    token: !!binary QmVhcmVyIGV5SlQ=\n", None),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    !!binary dG9rZW4=: Bearer eyJT\n", None),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    token: !<tag:yaml.org,2002:binary> QmVhcmVyIGV5SlQ=\n", None),
    ("context: DOMAIN\ncontexts:\n  DOMAIN:\n    <<: {Token: Bearer eyJT}\n    token: ''\n", None),
];

fn filled(text: &str) -> String {
    text.replace("DOMAIN", DOMAIN).replace("TOKEN", "token: Bearer eyJT")
}

#[test]
fn token_that_go_cli_reads_is_seen_or_text_refused() {
    let domain: Domain = DOMAIN.parse().unwrap();
    for (text, key) in READ_BY_GO {
        let text = filled(text);
        let document = Document::parse(text.as_str());
        let Some(key) = key else {
            assert!(matches!(document, Err(DocumentError::Syntax { .. })), "{text}");
            continue;
        };
        let mut document = document.unwrap();
        let key = format!("contexts.{}", key.replace("DOMAIN", DOMAIN));
        assert_eq!(document.token_left(&domain), Some(key.clone()), "{text}");
        let has_own_context = !text.contains("contexts.") && !text.contains(".token") && !key.contains("foo");
        let token = document.context(&domain).and_then(|context| context.token);
        assert_eq!(token, has_own_context.then(|| AccessToken::new("eyJT")), "{text}");
        // Cleared, or left as it is and still seen.
        match document.clear_login(&domain) {
            Ok(()) if has_own_context => assert_eq!(document.token_left(&domain), None, "{text}"),
            Ok(()) | Err(DocumentError::WouldChange { .. }) => {
                assert_eq!((document.as_str(), document.token_left(&domain)), (text.as_str(), Some(key)));
            }
            Err(refused) => panic!("{refused}"),
        }
    }
}

#[test]
fn null_is_no_token() {
    let domain: Domain = DOMAIN.parse().unwrap();
    for null in ["null", "~", "Null", "NULL", "", "''", "\"\"", "Bearer", "'Bearer '"] {
        let refresh = if null.contains("Bearer") { "''" } else { null };
        let fields = format!("token: {null}\n    refreshtoken: {refresh}\n    domain: {null}\n");
        let text = format!("contexts:\n  {DOMAIN}:\n    {fields}");
        let document = Document::parse(text.as_str()).unwrap();
        let context = document.context(&domain).unwrap();
        assert_eq!(context.token, None, "{null}");
        assert_eq!(document.token_left(&domain), None, "{null}");
        assert_eq!(context.domain == DOMAIN, !null.contains("Bearer"), "{null}");
    }
    let read = |text: &str| Document::parse(text).unwrap().current_context();
    assert_eq!(
        (read("context: null\n"), read("context: ~\n"), read("context: 'null'\n")),
        (None, None, Some("null".into()))
    );
    let quoted = format!("contexts: {{'{DOMAIN}': {{token: 'null'}}}}");
    assert_eq!(Document::parse(quoted).unwrap().context(&domain).unwrap().token, Some(AccessToken::new("null")));
}

#[test]
fn other_domain_has_no_token_left() {
    let text = filled("contexts:\n  astronomer_io: {TOKEN}\n  foo: {domain: astronomer.io, TOKEN}\nx: {TOKEN}\n");
    let document = Document::parse(text).unwrap();
    assert_eq!(document.token_left(&DOMAIN.parse().unwrap()), None);
    assert_eq!(document.token_left(&"astronomer.io".parse().unwrap()).as_deref(), Some("contexts.astronomer_io.token"));
}

#[test]
fn aliases_are_bounded() {
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<Vec<_>>().concat();
    let repeated = |count| format!("b: &b [{}]\n", "x, ".repeat(30_000)) + &lines(count, &|it| format!("a{it}: *b\n"));
    assert!(Document::parse(repeated(30)).is_ok());
    assert!(Document::parse(repeated(30_000)).is_err());
    let doubled = lines(40, &|it| format!("a{}: &a{} [*a{it}, *a{it}]\n", it + 1, it + 1));
    assert!(Document::parse(format!("a0: &a0 x\n{doubled}")).is_err());
    let merging = lines(14, &|it| format!("a{}: &a{} {{<<: [*a{it}, *a{it}]}}\n", it + 1, it + 1));
    let text = format!("a0: &a0 {{x: y}}\n{merging}contexts:\n  {DOMAIN}: *a14\n");
    assert_eq!(Document::parse(text).unwrap().token_left(&DOMAIN.parse().unwrap()), None);
    assert!(Document::parse("a: &a [*a]\n").is_err());
}

const MIB: usize = 1024 * 1024;

/// The size of each shape and the time in which it is read. Without optimization the parser takes ten times as long, so a
/// quarter of the text stands for 1 MB.
const SIZE: usize = if cfg!(debug_assertions) { MIB / 4 } else { MIB };
const BOUND: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2500 } else { 1000 });

/// Repeats a line, in which `@` becomes its number, up to the size.
fn repeated(start: &str, line: &str, end: &str) -> String {
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
        ("fields of a context", repeated(context, "    f@: x\n", "")),
        ("contexts", repeated("contexts:\n", "  c@_io: {domain: c@.io, token: x}\n", "")),
        ("empty contexts", repeated("contexts:\n", "  c@:\n", "")),
        ("settings", repeated(context, "s@: x\n", "")),
        ("fields in braces", repeated("contexts: {localhost: {domain: localhost", ", f@: x", "}}\n")),
        ("list", repeated(&format!("{context}    list:\n"), "    - @\n", "")),
        ("list in brackets", repeated("list: [x", ", @", "]\n")),
        ("comments", repeated(context, "    # @\n", "    token: x\n")),
        ("comments at the end", repeated(context, "# @\n", "")),
        ("empty lines", repeated(context, "\n", "x: y\n")),
        ("spaces", format!("{context}    token:{}x\n", " ".repeat(SIZE))),
        ("tabs", format!("{context}    token: x{}\n", "\t".repeat(SIZE))),
        ("one word", format!("{context}    token: {}\n", "x".repeat(SIZE))),
        ("many words", format!("{context}    token: {}\n", "x ".repeat(SIZE / 2))),
        ("lines of a plain text", repeated(&format!("{context}    token: x\n"), "      x\n", "")),
        ("quoted", format!("{context}    token: \"{}\"\n", "x".repeat(SIZE))),
        ("escapes", format!("{context}    token: \"{}\"\n", "\\u0041".repeat(SIZE / 6))),
        ("quoted quotes", format!("{context}    token: '{}'\n", "''".repeat(SIZE / 2))),
        ("lines of a quoted text", format!("{context}    token: \"{}\"\n", "x\n      ".repeat(SIZE / 8))),
        ("block", repeated(&format!("{context}    token: |\n"), "      x\n", "")),
        ("folded block", repeated(&format!("{context}    token: >\n"), "      x\n", "")),
        ("empty lines of a block", format!("{context}    token: |\n      x\n{}      x\n", "\n".repeat(SIZE))),
        ("anchors", repeated("list:\n", "- &a@ x\n", "")),
        ("aliases", repeated("a: &a x\nlist:\n", "- *a\n", "")),
        ("aliased contexts", repeated("a: &a {domain: localhost, token: x}\ncontexts:\n", "  c@: *a\n", "")),
        ("aliases of a large context", {
            let fields = (0..20_000).map(|it| format!("f{it}: x, ")).collect::<Vec<_>>().concat();
            repeated(&format!("a: &a {{{fields}}}\ncontexts:\n"), "  c@: *a\n", "")
        }),
        ("merges", repeated("a: &a {token: x}\ncontexts:\n", "  c@: {<<: *a}\n", "")),
        ("merge of a long list", repeated("a: &a {x: y}\ncontexts:\n  localhost:\n    <<: [*a", ", *a", "]\n")),
        ("tags", repeated("list:\n", "- !t@ x\n", "")),
        ("keys of other kinds", repeated("", "? [@]\n: x\n", "")),
        ("long key", format!("{}: x\n", "x".repeat(SIZE))),
        ("documents", many(SIZE / 4, "---\n")),
        ("open brackets", many(SIZE, "[")),
        ("open braces", many(SIZE / 4, "{a: ")),
        ("dashes", many(SIZE / 2, "- ")),
        ("question marks", many(SIZE / 2, "? ")),
        ("indentation", (0..1_400).map(|it| " ".repeat(it) + "a:\n").collect()),
        ("nested lists", repeated("list:\n", &format!("- {}{}\n", many(50, "["), many(50, "]")), "")),
        ("colons", format!("x: {}\n", many(SIZE, ":"))),
        ("same keys", repeated("", "x: y\n", "")),
        ("line breaks of two characters", repeated(context, "    f@: x\r\n", "")),
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

/// The processor time of this thread, which a busy machine does not lengthen.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

#[cfg(not(unix))]
fn processor_time() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[test]
fn any_megabyte_of_settings_is_read_in_time() {
    for (shape, text) in shapes() {
        let start = processor_time();
        read(&text);
        let took = processor_time().saturating_sub(start);
        assert!(took < BOUND, "{shape}: {took:?}");
    }
}
