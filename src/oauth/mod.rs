//! The login in the browser: OAuth 2.0's authorization code flow for a native app without a client secret.
//!
//! The steps of a login, in order:
//!
//! 1. [`AuthConfig::fetch`] reads the login configuration. It contains an [`Issuer`] only if that belongs to the
//!    requested domain; every endpoint is derived from it, and tokens must name its text as `iss`.
//!    [`Issuer::metadata`] tells whether callbacks will name it too (RFC 9207 section 3, RFC 8414 section 3).
//! 2. [`CallbackListener::bind`] binds the loopback port (RFC 8252 section 7.3), before the link is shown.
//! 3. An [`AuthorizationRequest`] becomes the link: the code challenge (RFC 7636 section 4.3), a fresh [`State`]
//!    (RFC 6749 section 10.12) and a fresh [`Nonce`] (OpenID Connect Core section 3.1.2.1).
//! 4. The callback arrives at the listener or as a pasted URL ([`parse_pasted`]). One parser serves both, and checks
//!    `state` first: with another `state` the callback is [`Unrelated`], and the wait goes on; with ours it ends the
//!    wait, with an [`AuthorizationCode`] or an error (RFC 6749 section 4.1.2, RFC 9207 section 2.4).
//! 5. [`AuthConfig::redeem`] consumes the code and its verifier, once (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
//!    [`Reply::send`] then sends the waiting browser a page with the outcome.
//!
//! Later, the session calls [`AuthConfig::refresh`] (RFC 6749 section 6) and [`AuthConfig::revoke`] (RFC 7009 section
//! 2.1). Tokens are verified elsewhere.

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
    AuthorizationCode, CallbackError, ErrorResponse, ExpectedResponse, PastedLines, Rejection, Unrelated, joined,
    parse_pasted,
};
pub use issuer::{AuthConfig, Issuer, IssuerError, Metadata, Refusal, UserInfo};
pub use listener::{Callback, CallbackListener, Callbacks, Event, ListenError, Reply, port_owner_command};
pub use pending_grant::{Exchanging, PendingGrant, Storing};
pub use pkce::{Nonce, PkceChallenge, PkceVerifier, Random, RandomError, State};
pub use token_endpoint::{ErrorCode, Granted, TokenEndpointError, TokenError, TokenResponse};
