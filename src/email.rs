//! An e-mail address, as far as a login cares: a hint to the identity provider, and something to compare.

use std::fmt;
use std::str::FromStr;

/// Text with the outline of an e-mail address, without white space or control characters.
///
/// Only the mail system knows what a valid address is; this keeps out names, domains and slips of the keyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

/// What was typed is not an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not an e-mail address (it should look like name@example.com)")]
pub struct NotAnEmailAddress;

impl EmailAddress {
    /// The address as it was typed, trimmed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the `@`, in lower case.
    pub fn domain(&self) -> String {
        self.0.rsplit_once('@').map(|(_, domain)| domain.to_lowercase()).unwrap_or_default()
    }

    /// Whether `other` is this address; case does not matter, for no provider in use tells addresses apart by it.
    pub fn is_same_as(&self, other: &str) -> bool {
        self.0.to_lowercase() == other.trim().to_lowercase()
    }
}

impl FromStr for EmailAddress {
    type Err = NotAnEmailAddress;

    fn from_str(typed: &str) -> Result<Self, NotAnEmailAddress> {
        let address = typed.trim();
        let (local, domain) = address.rsplit_once('@').ok_or(NotAnEmailAddress)?;
        let strange = |character: char| character.is_whitespace() || character.is_control();
        // 254 octets is the longest path that SMTP carries (RFC 5321 section 4.5.3.1.3).
        if local.is_empty() || domain.is_empty() || address.len() > 254 || address.contains(strange) {
            return Err(NotAnEmailAddress);
        }
        // What a terminal would not show as it is has no place in an address that will be printed.
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
        assert_eq!(ada.domain(), "example.com");
    }
}
