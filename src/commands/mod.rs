//! One file for each command.

pub mod completion;
pub mod context;
pub mod doctor;
mod grant;
pub mod login;
pub mod logout;
pub mod organization;
mod place;
pub mod status;
mod table;
pub mod token;
pub mod workspace;
