//! The processes as operators meet them: signals, reloads, upgrades, rights, limits.
//!
//! Everything runs on 127.0.0.1 and is ended by its number when a test ends, however it ends.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up has failed"
)]

mod activation;
mod auth_kept;
mod auth_tls;
mod conn_limits;
mod limits;
mod load;
mod parked;
mod peers;
mod reload;
mod rights;
mod served;
mod signals;
mod tickets;
mod upgrade;
mod users;
