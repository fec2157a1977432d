//! What has been on the way to a state.

/// What has been, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    /// Whether it has been the client's turn.
    pub(super) greeted: bool,
    pub(super) client_tls: bool,
    pub(super) backend_tls: bool,
    /// Whether the auth server said OK to the login under way.
    pub(super) granted: bool,
    /// Whether somebody who may has said that a login is wrong.
    pub(super) said_no: bool,
    /// Whether the wait under way is one to ask again after.
    pub(super) asking_again: bool,
    /// Whether the backend that is connected has heard of the login, and whether one has that was before it.
    pub(super) told: bool,
    pub(super) told_before: bool,
    pub(super) places: u8,
    /// Whether the backend has offered to take at once what else goes step by step.
    pub(super) offered_steps: bool,
    /// Whether a connection to the auth server that another session has left would do.
    pub(super) offered: bool,
    /// Whether it is such a connection that the auth server is asked on, and the answer has not begun.
    pub(super) unanswered: bool,
    /// Whether the answer has begun.
    pub(super) answering: bool,
    /// Whether the auth server that is connected has TLS.
    pub(super) auth_tls: bool,
    /// Whether somebody is counting, and whether there is a place.
    pub(super) counting: bool,
    pub(super) placed: bool,
    /// What of the client's words is kept for the backend, where that is known.
    pub(super) ahead: Option<Vec<u8>>,
    pub(super) over: bool,
}
