//! The email of an account: a hint for the issuer, and compared with the account that logs in.

use std::fmt;
use std::str::FromStr;

/// Text in the form of an email address, without white space or control characters.
///
/// Only the mail system knows valid addresses; this rejects names, domains and typing errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an email address (expected name@example.com)")]
pub struct NotAnEmailAddress;

impl EmailAddress {
    /// Returns the address as typed, trimmed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if `other` is this address.
    pub fn is_same_as(&self, other: &str) -> bool {
        is_same_email(&self.0, other)
    }
}

/// Compares two addresses. The case of ASCII letters is ignored: no mail provider in use distinguishes addresses by it. That
/// of other letters is not: some fold to ASCII ones, and would make two addresses one.
pub fn is_same_email(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

impl FromStr for EmailAddress {
    type Err = NotAnEmailAddress;

    fn from_str(typed: &str) -> Result<Self, NotAnEmailAddress> {
        let address = typed.trim();
        let (local, domain) = address.rsplit_once('@').ok_or(NotAnEmailAddress)?;
        // 254 octets is the longest path that SMTP carries (RFC 5321 section 4.5.3.1.3).
        if local.is_empty() || domain.is_empty() || address.len() > 254 || address.contains(char::is_whitespace) {
            return Err(NotAnEmailAddress);
        }
        // The address will be printed, so characters that `clean` removes are rejected.
        if crate::text::clean(address, 254) != address {
            return Err(NotAnEmailAddress);
        }
        Ok(Self(address.to_owned()))
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_syntax_is_checked() {
        for good in ["a@b", " Ada.Lovelace+astro@Example.COM ", "\"odd@local\"@example.com", "用户@例え.jp"] {
            assert_eq!(good.parse::<EmailAddress>().unwrap().as_str(), good.trim());
        }
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@c",
            "a@b\u{1b}[0m",
            "a\u{202e}@b",
            &format!("a@{}", "b".repeat(260)),
        ] {
            assert_eq!(bad.parse::<EmailAddress>(), Err(NotAnEmailAddress), "{bad:?}");
        }
    }

    #[test]
    fn email_comparison_ignores_case_and_white_space() {
        let ada: EmailAddress = "Ada@Example.com".parse().unwrap();
        assert!(ada.is_same_as(" ada@example.COM\n"));
        assert!(!ada.is_same_as("ada@example.com.evil.io"));
        // The Kelvin sign and the long s fold to `k` and `s`.
        for (one, other) in [
            ("kim@example.com", "\u{212a}im@example.com"),
            ("sam@x.io", "\u{17f}am@x.io"),
            ("\u{e9}@x.io", "\u{c9}@x.io"),
        ] {
            assert!(!one.parse::<EmailAddress>().unwrap().is_same_as(other), "{other}");
        }
    }
}
