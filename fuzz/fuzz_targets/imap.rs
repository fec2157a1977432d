//! Fuzzes [`gatepost_fuzz::imap`].
#![cfg_attr(fuzzing, no_main)]
gatepost_fuzz::target!(imap);
