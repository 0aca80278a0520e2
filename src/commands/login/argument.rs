//! The types of arguments that may be `-`, for standard input.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::Login;
use crate::domain::Product;

#[derive(Clone)]
pub enum TokenArgument {
    /// `-`: a hidden prompt on a terminal, else standard input.
    Stdin,
    /// The token itself, which other users of this machine can see.
    Given(Zeroizing<String>),
}

impl FromStr for TokenArgument {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::Given(Zeroizing::new(text.to_owned())) })
    }
}

impl fmt::Debug for TokenArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdin => "Stdin",
            Self::Given(_) => "Given(redacted)",
        })
    }
}

impl Login {
    /// Returns a given flag that has no effect with this product.
    pub(super) fn flag_of_other_product(&self, product: Product) -> Option<&'static str> {
        let of_astro = [
            ("`--begin`", self.begin),
            ("`--email`", self.email.is_some()),
            ("`--organization`", self.organization.is_some()),
            ("`--paste-stdin`", self.paste_stdin),
            ("`--timeout`", self.timeout.is_some()),
        ];
        match product {
            Product::Astro => self.username.is_some().then_some("`--username`"),
            Product::PrivateCloud => of_astro.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag),
        }
    }
}

/// The argument `-`.
#[derive(Debug, Clone, Copy)]
pub struct StandardInput;

pub(super) fn parse_dash(text: &str) -> Result<StandardInput, String> {
    if text == "-" {
        Ok(StandardInput)
    } else {
        Err("expected `-`, as the password is read from standard input".into())
    }
}
