//! Fuzzes [`gatepost_fuzz::session`].
#![cfg_attr(fuzzing, no_main)]
gatepost_fuzz::target!(session);
