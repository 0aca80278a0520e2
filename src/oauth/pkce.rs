//! The random values of each login: the code verifier and its challenge, `state` and `nonce`.
//!
//! Each is 256 bits of the operating system's randomness, used for one attempt and never printed: `Debug` prints only the
//! name of the type. The verifier leaves this process only in the body of the token request. A login in two steps serializes
//! them, and keeps them where logins are kept.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub trait Random: Send + Sync {
    /// Fills `bytes` completely with unpredictable bytes, or fails.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("could not get random numbers from the operating system")]
pub struct RandomError;

macro_rules! random_value {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Creates a new value: 32 random bytes as 43 characters of base64url.
            pub fn random(random: &dyn Random) -> Result<Self, RandomError> {
                let mut bytes = Zeroizing::new([0_u8; 32]);
                random.fill(bytes.as_mut_slice())?;
                Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
            }

            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self(Zeroizing::new(String::deserialize(deserializer)?)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    )+};
}

random_value! {
    /// The code verifier, which proves that the code is redeemed by the program that requested it (RFC 7636 section 4.1).
    PkceVerifier;
    /// The `state`, which binds a callback to this attempt (RFC 6749 section 10.12).
    State;
    /// The `nonce`, which binds an ID token to this attempt (OpenID Connect Core section 15.5.2).
    Nonce;
}

impl State {
    /// Compares in constant time.
    pub(super) fn matches(&self, received: &str) -> bool {
        self.0.as_bytes().ct_eq(received.as_bytes()).into()
    }
}

/// The SHA-256 of a verifier, which is no secret (RFC 7636 section 4.2). `plain` is not supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkceChallenge(String);

impl PkceChallenge {
    pub fn of(verifier: &PkceVerifier) -> Self {
        let hash = digest::digest(&digest::SHA256, verifier.expose().as_bytes());
        Self(URL_SAFE_NO_PAD.encode(hash))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Fills with one byte, so a test knows what comes out.
    pub(crate) struct Fixed(pub(crate) u8);

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    struct Broken;

    impl Random for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError)
        }
    }

    #[test]
    fn ar_4_challenge_matches_rfc_7636_appendix_b() {
        let verifier = PkceVerifier(Zeroizing::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned()));
        assert_eq!(PkceChallenge::of(&verifier).as_str(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn ar_6_ar_7_ar_10_ar_11_values_are_32_random_bytes() {
        for (byte, text) in [(0_u8, "A".repeat(43)), (0xff, format!("{}8", "_".repeat(42)))] {
            assert_eq!(PkceVerifier::random(&Fixed(byte)).unwrap().expose(), text);
            assert_eq!(State::random(&Fixed(byte)).unwrap().expose(), text);
            assert_eq!(Nonce::random(&Fixed(byte)).unwrap().expose(), text);
        }
    }

    #[test]
    fn ar_7_without_randomness_no_verifier() {
        assert_eq!(PkceVerifier::random(&Broken).unwrap_err(), RandomError);
    }

    #[test]
    fn lb_10_state_matches_only_itself() {
        let state = State::random(&Fixed(0)).unwrap();
        let right = "A".repeat(43);
        assert!(state.matches(&right));
        for wrong in ["", "A", &right[1..], &format!("{right}A"), &right.to_lowercase(), &format!("B{}", &right[1..])] {
            assert!(!state.matches(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn tk_11_debug_hides_random_values() {
        assert_eq!(format!("{:?}", PkceVerifier::random(&Fixed(1)).unwrap()), "PkceVerifier(redacted)");
        assert_eq!(format!("{:?}", State::random(&Fixed(1)).unwrap()), "State(redacted)");
        assert_eq!(format!("{:?}", Nonce::random(&Fixed(1)).unwrap()), "Nonce(redacted)");
    }
}
