//! What a master and one worker say to each other: the worker, that it serves; the master, where logs go on.
//!
//! A worker can open no log, so it is given logs that were opened anew as descriptors, in the order of their paths, which
//! is the same on both sides: the worker is a copy of the master.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// How many descriptors go with one message; the kernel takes up to 253.
const FILES_OF_MESSAGE_MAX: usize = 128;

/// Both ends.
///
/// # Errors
///
/// The system's: descriptors are short.
pub(super) fn channel() -> io::Result<(ToWorker, ToMaster)> {
    let (here, there) = UnixStream::pair()?;
    here.set_nonblocking(true)?;
    there.set_nonblocking(true)?;
    Ok((ToWorker(here), ToMaster(there)))
}

/// The master's end.
#[derive(Debug)]
pub(super) struct ToWorker(UnixStream);

impl ToWorker {
    /// Whether the worker has said that it serves, since this was last asked.
    pub(super) fn has_come_to_serve(&self) -> bool {
        is_readable(&self.0) && (&self.0).read(&mut [0]).is_ok_and(|count| count > 0)
    }

    /// Gives the worker all of its logs, opened anew.
    ///
    /// # Errors
    ///
    /// It is gone, or hears nothing any more.
    pub(super) fn give(&self, logs: &[File]) -> io::Result<()> {
        for (number, some) in logs.chunks(FILES_OF_MESSAGE_MAX).enumerate() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_OF_MESSAGE_MAX))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let files: Vec<_> = some.iter().map(AsFd::as_fd).collect();
            ancillary.push(SendAncillaryMessage::ScmRights(&files));
            let number = [u8::try_from(number).map_err(io::Error::other)?];
            sendmsg(&self.0, &[IoSlice::new(&number)], &mut ancillary, SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }
}

impl AsFd for ToWorker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The worker's end.
#[derive(Debug)]
pub(super) struct ToMaster(UnixStream);

impl ToMaster {
    /// Says that it serves. A master that is gone will not be told.
    pub(super) fn serves(&self) {
        let _ = (&self.0).write_all(b"+");
    }

    /// Some logs, opened anew, and which of them is the first; none once the master is gone.
    pub(super) fn taken(&self) -> Option<(usize, Vec<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_OF_MESSAGE_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut number = [0];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let heard = recvmsg(&self.0, &mut [IoSliceMut::new(&mut number)], &mut ancillary, flags).ok()?;
        let files = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        let files = files.flatten().collect();
        (heard.bytes > 0).then_some((usize::from(number[0]) * FILES_OF_MESSAGE_MAX, files))
    }
}

impl AsFd for ToMaster {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether there is something to be read, or nothing more to come.
fn is_readable(descriptor: impl AsFd) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_worker_says_that_it_serves_once() {
        let (to_worker, to_master) = channel().expect("a channel");
        assert!(!to_worker.has_come_to_serve());
        to_master.serves();
        assert!(to_worker.has_come_to_serve());
        assert!(!to_worker.has_come_to_serve());
        drop(to_master);
        assert!(!to_worker.has_come_to_serve());
        // A process that another test is about to start has a copy of every descriptor for a moment.
        let gone = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            to_worker.give(&[File::open("/dev/null").expect("a file")]).is_err()
        });
        assert!(gone, "somebody still listens");
    }

    #[test]
    fn files_arrive_in_their_order_however_many_they_are() {
        let (to_worker, to_master) = channel().expect("a channel");
        let paths = ["/dev/null", "/dev/zero"];
        let files: Vec<_> = (0..300).map(|at| File::open(paths[at % 3 % 2]).expect("a file")).collect();
        to_worker.give(&files).expect("given");
        let mut taken = Vec::new();
        while taken.len() < files.len() {
            let (first, some) = to_master.taken().expect("there is more");
            assert_eq!(first, taken.len());
            taken.extend(some);
        }
        let device = |file: &File| file.metadata().expect("a file").rdev();
        let (given, taken): (Vec<_>, Vec<_>) =
            files.iter().zip(taken).map(|(given, taken)| (device(given), device(&taken.into()))).unzip();
        assert_eq!(given, taken);
        drop(to_worker);
        assert!(to_master.taken().is_none());
    }
}
