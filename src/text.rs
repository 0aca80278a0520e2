//! Foreign text, made safe to print.
//!
//! Servers, tokens and files may contain escape sequences. All text that is printed and not ours goes through [`clean`].

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use url::{ParseError, Url};

/// Removes control, escape, bidirectional and invisible formatting characters, folds white space to single blanks, and
/// cuts the text to `max_chars` characters (an ellipsis marks the cut).
pub fn clean(text: &str, max_chars: usize) -> String {
    let mut kept = String::new();
    let mut count = 0;
    let mut blank = false;
    for character in text.chars() {
        if character.is_whitespace() {
            blank = count > 0;
            continue;
        }
        if is_invisible(character) {
            continue;
        }
        if count + usize::from(blank) >= max_chars {
            kept.push('…');
            return kept;
        }
        if blank {
            kept.push(' ');
            count += 1;
            blank = false;
        }
        kept.push(character);
        count += 1;
    }
    kept
}

/// Wraps `text` at blanks into lines of at most `columns` columns. A longer word gets a line of its own, and a command
/// between backticks is one word.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Splits `text` at the blanks that are not between backticks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    // Without its end, a backtick begins nothing.
    let paired = text.matches('`').count().is_multiple_of(2);
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '`' && paired;
        character == ' ' && !quoted
    })
}

/// Cuts text to a width in columns. An ellipsis marks the cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        let columns = character.width().unwrap_or_default();
        if kept.width() + columns + 1 > width {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

/// Parses the URL in foreign text. Every host here is ASCII, and the `idna_adapter` that is built for such hosts panics in
/// a debug build at a capital after a letter that is not, percent-encoded or plain; so neither gets that far.
pub fn parse_url(text: &str) -> Result<Url, ParseError> {
    let before_query = text.split(['?', '#']).next().unwrap_or_default();
    let plain = before_query.bytes().all(|byte| byte.is_ascii() && byte != b'%');
    if plain { Url::parse(text) } else { Err(ParseError::InvalidDomainCharacter) }
}

/// Stands for typed text that may be a token.
pub const NOT_SHOWN: &str = "(not shown: it may be a token)";

/// Returns `true` for text that may be a token or a part of one, and so must not be printed. Each part of a JWT that is JSON
/// begins with `eyJ`; other secrets are long runs of letters and digits.
pub fn may_be_secret(text: &str) -> bool {
    let is_secret = |run: &str| {
        let has = |is: fn(&u8) -> bool| run.bytes().any(|byte| is(&byte));
        run.len() > 40 || (run.len() >= 20 && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase))
    };
    let is_separator = |character: char| !(character.is_ascii_alphanumeric() || matches!(character, '-' | '_'));
    text.contains("eyJ") || text.split(is_separator).any(is_secret)
}

/// Returns `true` for control characters, and for those of Unicode's general category Cf and similar ones: invisible, or able
/// to reorder text.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
        '\u{00ad}' | '\u{0600}'..='\u{0605}' | '\u{061c}' | '\u{06dd}' | '\u{070f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns what follows a message: a colon and the text, or nothing.
pub fn after_colon(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(": {text}"))
}

/// Formats bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_between_words_and_commands() {
        let table = [
            ("one two three", 8, vec!["one two", "three"]),
            ("run `astro login --email`, or not", 12, vec!["run", "`astro login --email`,", "or not"]),
            ("see https://a.example/long/path now", 10, vec!["see", "https://a.example/long/path", "now"]),
            ("a ` b c d", 4, vec!["a `", "b c", "d"]),
            ("日本 日本", 5, vec!["日本", "日本"]),
            ("日本 日本", 9, vec!["日本 日本"]),
            ("", 5, vec![""]),
        ];
        for (text, columns, lines) in table {
            assert_eq!(wrapped(text, columns), lines, "{text}");
        }
    }

    #[test]
    fn lb_21_cl_16_control_characters_are_removed() {
        assert_eq!(clean("a\u{1b}[31mred\u{7}\u{9b}2J\0", 50), "a[31mred2J");
        assert_eq!(clean("\u{202e}gnp.exe\u{2066}\u{200b}", 50), "gnp.exe");
        assert_eq!(clean("  two\r\n\tlines  ", 50), "two lines");
        assert_eq!(clean("日本語 ok", 50), "日本語 ok");
    }

    #[test]
    fn url_with_other_than_ascii_host_is_refused() {
        for host in ["\u{e9}A", "A\u{e9}B.io", "%C3%A9A", "%c3%a9%41", "x@\u{212a}Z", "a.\u{130}I"] {
            for text in [format!("http://{host}/callback?code=1"), format!("HTTPS:\\\\{host}")] {
                assert_eq!(parse_url(&text), Err(ParseError::InvalidDomainCharacter), "{text}");
            }
        }
        assert_eq!(
            parse_url("HTTP://LOCALHOST/?\u{e9}A%").map(|url| url.host_str().map(str::to_owned)),
            Ok(Some("localhost".to_owned()))
        );
    }

    #[test]
    fn tk_11_text_that_may_be_a_token_is_recognized() {
        for secret in [
            "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
            "--token-logineyJ0",
            "Bearer eyJ",
            "v1.MRrtRefreshRefreshRefreshRefreshRefreshRefresh",
            "user:Abcdefghijklmnopqrst",
            "0123456789abcdef0123456789abcdef0123456789",
        ] {
            assert!(may_be_secret(secret), "{secret}");
        }
        for word in ["", "deploy", "--insecure-storage", "clorg00000000000000000001", "Compilers International 2026"] {
            assert!(!may_be_secret(word), "{word}");
        }
    }

    #[test]
    fn long_text_is_cut_with_ellipsis() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcdef…");
        assert_eq!(clean("abc  ", 3), "abc");
    }
}
