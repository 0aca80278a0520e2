//! The commands, one module each.

mod api_token_scope;
pub mod completion;
pub mod context;
pub mod doctor;
pub mod exec;
mod list;
pub mod login;
pub mod logout;
pub mod organization;
mod selection;
pub mod status;
pub mod token;
pub mod workspace;
