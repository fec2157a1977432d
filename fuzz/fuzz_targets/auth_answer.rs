//! Fuzzes [`gatepost_fuzz::auth_answer`].
#![cfg_attr(fuzzing, no_main)]
gatepost_fuzz::target!(auth_answer);
