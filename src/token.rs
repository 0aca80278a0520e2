//! The secrets of a login.
//!
//! Each is a type of its own, so that one cannot be passed for another. None has `Display`, `Debug` shows only the type's
//! name, memory is wiped on drop, and the only reader is [`expose`](AccessToken::expose).

use std::fmt;

use zeroize::Zeroizing;

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

secret! {
    /// The token for the API (RFC 6749 section 1.4): a JWT, without the word `Bearer`.
    AccessToken;
    /// The token for the next access token (RFC 6749 section 1.5).
    RefreshToken;
    IdToken;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tk_11_debug_hides_token() {
        assert_eq!(format!("{:?}", AccessToken::new("eyJhbGciOi")), "AccessToken(redacted)");
        assert_eq!(format!("{:?}", Some(RefreshToken::new("v1.abc"))), "Some(RefreshToken(redacted))");
    }
}
