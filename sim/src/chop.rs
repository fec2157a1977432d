//! A stream that arrives and leaves in pieces. turmoil delivers a write whole and a kernel mostly does, so nothing else
//! would ever show what a cut in an unlucky place does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use gatepost::net::AsSocket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::chance::Chance;

/// How large a stream's pieces may be, in octets; each stream draws one of them.
const PIECE_BYTES_MAX: [usize; 4] = [7, 61, 509, usize::MAX];

/// By how much of what has gone through already pieces may be larger than that: whatever a cut in an unlucky place does to a stream it
/// has done by then, and a flood in pieces of a few octets each would take longer than all else in its world.
const GROWTH_DIVISOR: usize = 64;

/// How often a call that could have done something says `Pending` all the same, and wakes its task at once.
const HESITATES_ONCE_IN: u64 = 8;

/// Cuts what goes through `inner` at places of chance, in both directions.
#[derive(Debug)]
pub struct Chop<S> {
    inner: S,
    chance: Chance,
    piece_bytes_max: usize,
    /// How many octets have gone through, both ways.
    gone_through: usize,
}

impl<S> Chop<S> {
    /// Cuts as `chance` has it.
    pub fn new(inner: S, chance: Chance) -> Self {
        let piece_bytes_max = chance.one_of(&PIECE_BYTES_MAX, usize::MAX);
        Self { inner, chance, piece_bytes_max, gone_through: 0 }
    }

    /// How much of `available` to let through; `None` to hesitate.
    fn piece(&self, available: usize, cx: &Context<'_>) -> Option<usize> {
        if self.chance.once_in(HESITATES_ONCE_IN) {
            cx.waker().wake_by_ref();
            return None;
        }
        let most = available.min(self.piece_bytes_max.max(self.gone_through / GROWTH_DIVISOR));
        Some(usize::try_from(self.chance.below(most as u64)).unwrap_or(0).saturating_add(1).min(available))
    }
}

/// It is none: the kernel would not cut.
impl<S> AsSocket for Chop<S> {}

impl<S: AsyncRead + Unpin> AsyncRead for Chop<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(piece) = this.piece(buf.remaining(), cx) else { return Poll::Pending };
        let mut shorter = ReadBuf::new(buf.initialize_unfilled_to(piece));
        std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, &mut shorter))?;
        let octets = shorter.filled().len();
        buf.advance(octets);
        this.gone_through = this.gone_through.saturating_add(octets);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Chop<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(piece) = this.piece(octets.len(), cx) else { return Poll::Pending };
        let (piece, _) = octets.split_at_checked(piece).unwrap_or((octets, b""));
        let written = std::task::ready!(Pin::new(&mut this.inner).poll_write(cx, piece))?;
        this.gone_through = this.gone_through.saturating_add(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_goes_through_comes_out_whole_and_in_order() {
        let sent: Vec<u8> = (0..20_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut pieces = Vec::new();
        for number in 0..8 {
            let (near, far) = tokio::io::duplex(1000);
            let mut near = Chop::new(near, Chance::of(7, "near", number));
            let mut far = Chop::new(far, Chance::of(7, "far", number));
            let writing = tokio::spawn({
                let sent = sent.clone();
                async move {
                    near.write_all(&sent).await.unwrap();
                    near.shutdown().await.unwrap();
                }
            });
            let (mut got, mut buf) = (Vec::new(), [0; 4096]);
            loop {
                let octets = far.read(&mut buf).await.unwrap();
                if octets == 0 {
                    break;
                }
                pieces.push(octets);
                got.extend_from_slice(&buf[..octets]);
            }
            assert_eq!(got, sent);
            writing.await.unwrap();
        }
        assert!(pieces.contains(&1) && pieces.iter().any(|&octets| octets > 61), "{pieces:?}");
    }
}
