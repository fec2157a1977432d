//! Where the process's memory comes from, and that it goes back when sessions have gone.
//!
//! A crowd comes in the morning and leaves in the evening. Blocks of one size lie together here, and where all of them are free the
//! memory is the system's again, at once. The system's own allocator gives back only what lies behind everything that is still in
//! use; and what tasks and sockets need, which is aligned to 128 octets, takes a quarter more with it.
//!
//! What libraries in C take comes from here too, by `malloc` (mimalloc's `override`): when a crowd under TLS had left, aws-lc's share of it stayed
//! with the system's allocator.

#![expect(unsafe_code, reason = "an option of the allocator can be set in no other way; argued below")]

use libmimalloc_sys::{mi_option_eager_commit_delay, mi_option_set, mi_option_t};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// For how many milliseconds what is free is kept for whoever wants it next. In mimalloc's list (`mi_option_e`) it is the one behind
/// the delay of commitments; the bindings have no name for it.
const PURGE_DELAY: mi_option_t = mi_option_eager_commit_delay + 1;

/// Has free pages given back as soon as they are free. Otherwise that is done with some later allocation, and when all have left
/// there is none. To be called before there are other threads.
pub(crate) fn give_back_at_once() {
    // SAFETY: the option is in the list, which is as long as the one that the bindings were made for, and any number may be its value.
    // It is stored in a table of the allocator's that only this thread looks at.
    unsafe { mi_option_set(PURGE_DELAY, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    use libmimalloc_sys::mi_option_get;

    #[test]
    fn the_option_is_the_one_whose_default_is_ten_milliseconds() {
        // SAFETY: to look at an option of the list changes nothing.
        let value = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(value(), 10);
        give_back_at_once();
        assert_eq!(value(), 0);
    }
}
