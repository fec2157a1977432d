//! Transcripts of mail dialogues, and the real programs that take part in them.
pub mod peer;
