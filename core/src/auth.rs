//! The exchange with the auth server, as bytes (auth-http.md): what a client claims, the request that asks about it, and
//! the answer.

pub(crate) mod credentials;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod rest;
pub(crate) mod route;
