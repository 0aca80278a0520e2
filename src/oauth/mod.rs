//! The sign-in by browser: OAuth 2.0's authorization code flow for an app without a secret, on a machine of its own.
//!
//! The story, in the order in which a login walks through it:
//!
//! 1. [`AuthConfig::fetch`] asks Astro who signs people in. The answer is an [`Issuer`] only if it lies under the domain
//!    that was asked for; every endpoint is derived from it, and its text is what tokens must name as `iss`.
//!    [`Issuer::metadata`] tells whether callbacks will name it too (RFC 9207 section 3, RFC 8414 section 3).
//! 2. [`CallbackListener::bind`] takes the loopback port (RFC 8252 section 7.3), before anyone sees a link.
//! 3. An [`AuthorizationRequest`] becomes the link: the code challenge (RFC 7636 section 4.3), a fresh [`State`]
//!    (RFC 6749 section 10.12) and a fresh [`Nonce`] (OpenID Connect Core section 3.1.2.1).
//! 4. The answer comes in at one of two doors, the listener or a pasted address ([`parse_pasted`]). One parser decides
//!    for both, `state` first: what carries another login's is a stranger, and the wait goes on; what carries ours ends
//!    the wait, with an [`AuthorizationCode`] or with the reason why there is none (RFC 6749 section 4.1.2, RFC 9207
//!    section 2.4).
//! 5. [`AuthConfig::redeem`] consumes the code and its verifier, once (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
//!    [`Reply::send`] then gives the browser, which has been kept waiting, a page that tells the truth.
//!
//! Later, [`AuthConfig::refresh`] (RFC 6749 section 6) and [`AuthConfig::revoke`] (RFC 7009 section 2.1) speak for the
//! session. Whether a token is what it claims to be is not decided here.

mod authorization;
mod callback;
mod issuer;
mod listener;
pub mod page;
mod pending_grant;
mod pkce;
mod token_endpoint;

pub use authorization::{AuthorizationRequest, RedirectUri};
pub use callback::{
    AuthorizationCode, CallbackError, ErrorResponse, ExpectedResponse, Stranger, Verdict, parse_pasted,
};
pub use issuer::{AuthConfig, AuthFlow, Issuer, IssuerError, Metadata, Refusal, UserInfo};
pub use listener::{Callback, CallbackListener, Callbacks, Event, ListenError, Reply, who_has};
pub use pending_grant::{PendingGrant, Storing};
pub use pkce::{Nonce, PkceChallenge, PkceVerifier, Random, RandomError, State};
pub use token_endpoint::{ErrorCode, TokenEndpointError, TokenError, TokenResponse};
