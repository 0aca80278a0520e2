//! The secrets of a login.
//!
//! Each is a type of its own, so that one cannot be passed for another. None has `Display`, `Debug` shows only the type's
//! name, memory is wiped on drop, and the only reader is [`expose`](AccessToken::expose).

use std::fmt;

use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::text::{hex, is_invisible};

macro_rules! secret {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            pub fn new(secret: impl Into<String>) -> Self {
                Self(Zeroizing::new(secret.into()))
            }

            /// Returns the secret text. Search for this word to find every place where a secret leaves its type.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }
    )+};
}

/// The reason why text that was typed, piped in or set as a variable holds no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenTextError {
    #[error("the text is empty")]
    Empty,
    #[error("the text contains `{0}`, which no token does")]
    Character(char),
    #[error("the text contains more than one token")]
    Several,
}

impl AccessToken {
    /// Finds the token in text that was copied, and drops what is often copied along: the word `Bearer`, quotes, white space
    /// and line breaks, also inside, a byte order mark and other invisible characters.
    pub fn from_text(text: &str) -> Result<Self, TokenTextError> {
        let is_quote = |c: char| matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}');
        let is_around = |c: char| c.is_whitespace() || is_invisible(c) || is_quote(c);
        let text = text.trim_matches(is_around);
        let text = match text.split_once(is_around) {
            Some((word, rest)) if word.eq_ignore_ascii_case("bearer") => rest,
            Some(_) | None if text.eq_ignore_ascii_case("bearer") => "",
            Some(_) | None => text,
        };
        let is_whole = |part: &&str| part.starts_with("eyJ") && part.matches('.').count() == 2;
        if text.split(is_around).filter(is_whole).count() > 1 {
            return Err(TokenTextError::Several);
        }
        // Never reallocated, which would leave a copy of the secret in memory.
        let mut token = Zeroizing::new(String::with_capacity(text.len()));
        token.extend(text.chars().filter(|c| !is_around(*c)));
        let is_odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        match token.chars().find(|c| is_odd(*c)) {
            Some(odd) => Err(TokenTextError::Character(odd)),
            None if token.is_empty() => Err(TokenTextError::Empty),
            None => Ok(Self(token)),
        }
    }
}

secret! {
    /// The token for the API (RFC 6749 section 1.4): a JWT, without the word `Bearer`.
    AccessToken;
    /// The token for the next access token (RFC 6749 section 1.5).
    RefreshToken;
    IdToken;
    /// The password of a user of Astro Private Cloud. It is sent once and never stored.
    Password;
}

impl AccessToken {
    /// Returns `true` in place of a token that is not known, beside a refresh token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first 16 bytes of the token's SHA-256, in hexadecimal digits. It names the token and is no secret.
    pub fn digest(&self) -> String {
        hex(&digest(&SHA256, self.expose().as_bytes()).as_ref()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_found_in_copied_text() {
        for text in [
            "a.b-c._d",
            "\u{feff}a.b-c._d\r\n",
            " \"a.b-c._d\" ",
            "Bearer a.b-c._d",
            "'bearer\ta.b-c._d'",
            "\u{201c}BEARER \r\n a.b-\r\n  c._d\u{201d}",
            "a.b\u{200b}-\u{a0}c._d\0",
        ] {
            assert_eq!(AccessToken::from_text(text), Ok(AccessToken::new("a.b-c._d")), "{text:?}");
        }
        for text in ["", " \r\n", "\u{feff}", "\"\"", "Bearer", " bearer \n", "'Bearer '"] {
            assert_eq!(AccessToken::from_text(text), Err(TokenTextError::Empty), "{text:?}");
        }
        for text in ["eyJa.b.c\neyJd.e.f", "Bearer eyJa.b.c\r\nBearer eyJa.b.c\r\n", "\"eyJa.b.c\" 'eyJd.e.f'"] {
            assert_eq!(AccessToken::from_text(text), Err(TokenTextError::Several), "{text:?}");
        }
        assert_eq!(AccessToken::from_text("eyJa.b.\neyJc"), Ok(AccessToken::new("eyJa.b.eyJc")));
        for (text, odd) in
            [("***", '*'), ("a.b.c=", '='), ("a.b\u{2026}", '\u{2026}'), ("token: a.b.c", ':'), ("${X}", '$')]
        {
            assert_eq!(AccessToken::from_text(text), Err(TokenTextError::Character(odd)), "{text:?}");
        }
    }

    #[test]
    fn tk_11_debug_hides_token() {
        assert_eq!(format!("{:?}", AccessToken::new("eyJhbGciOi")), "AccessToken(redacted)");
        assert_eq!(format!("{:?}", Some(RefreshToken::new("v1.abc"))), "Some(RefreshToken(redacted))");
    }
}
