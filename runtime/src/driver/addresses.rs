//! The addresses of a backend's name, of both families.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{Answer, Family, Question, ResolveError};
use tokio::select;
use tokio::time::timeout;

use crate::net::Net;

/// How long the slower family may take once the other has told where the host is (the resolution delay of RFC 8305 section 3). There
/// are DNS servers that never answer for AAAA, and no login should wait for them.
const GRACE: Duration = Duration::from_millis(50);

/// What is known of one family; never nothing.
type Found = Result<Vec<IpAddr>, ResolveError>;

/// The addresses of a name, those of IPv4 first. Half an answer is better than none: where one of them is, the host is.
///
/// # Errors
///
/// Why neither family has any; that one of them has none says less than that the other could not be asked about.
pub(super) async fn addresses_of<N: Net>(net: N, name: Arc<str>) -> Found {
    let mut asked_four = pin!(of_family(&net, &name, Family::V4));
    let mut asked_six = pin!(of_family(&net, &name, Family::V6));
    let (four, six) = select! {
        biased;
        four = &mut asked_four => {
            let six = slower(&four, asked_six).await;
            (Some(four), six)
        }
        six = &mut asked_six => {
            let four = slower(&six, asked_four).await;
            (four, Some(six))
        }
    };
    let (mut addresses, mut error) = (Vec::new(), ResolveError::NotFound);
    for found in [four, six].into_iter().flatten() {
        match found {
            Ok(found) => addresses.extend(found),
            Err(ResolveError::NotFound) => {}
            Err(other) => error = other,
        }
    }
    if addresses.is_empty() { Err(error) } else { Ok(addresses) }
}

/// What the slower family has to say: all that matters if the quicker one found nothing, and otherwise no more than is worth a moment.
async fn slower(quicker: &Found, slower: impl Future<Output = Found>) -> Option<Found> {
    match quicker {
        Ok(_) => timeout(GRACE, slower).await.ok(),
        Err(_) => Some(slower.await),
    }
}

async fn of_family<N: Net>(net: &N, name: &Arc<str>, family: Family) -> Found {
    let Answer::Addresses(found) = net.resolve(Question::AddressesOf(name.clone(), family)).await else {
        return Err(ResolveError::Server);
    };
    let mut addresses = found?;
    addresses.retain(|&address| Family::from(address) == family);
    if addresses.is_empty() { Err(ResolveError::NotFound) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io;

    use gatepost_core::{Address, Instant, Peer, Wire};
    use tokio::io::DuplexStream;

    use super::*;

    /// A DNS that answers for each family after so many milliseconds, or never.
    #[derive(Clone)]
    struct Dns {
        four: (Option<u64>, Found),
        six: (Option<u64>, Found),
    }

    impl Net for Dns {
        type Stream = DuplexStream;

        fn connect(
            &self,
            _: Wire,
            _: &Address,
        ) -> impl Future<Output = io::Result<(DuplexStream, Peer)>> + 'static {
            pending()
        }

        fn resolve(&self, question: Question) -> impl Future<Output = Answer> + 'static {
            let (delay, found) = match question {
                Question::AddressesOf(_, Family::V6) => self.six.clone(),
                _ => self.four.clone(),
            };
            async move {
                match delay {
                    Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                    None => pending().await,
                }
                Answer::Addresses(found)
            }
        }

        fn now(&self) -> Instant {
            Instant::from_unix_millis(0)
        }
    }

    fn ips(texts: &[&str]) -> Found {
        Ok(texts.iter().map(|text| text.parse().expect("an address")).collect())
    }

    /// What comes of it, and after how many milliseconds.
    async fn asked(four: (Option<u64>, Found), six: (Option<u64>, Found)) -> (Found, u128) {
        let begun = tokio::time::Instant::now();
        let found = addresses_of(Dns { four, six }, "mail.example".into()).await;
        (found, begun.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_that_is_silent_holds_nobody_up() {
        let (four, six) = (ips(&["192.0.2.1"]), ips(&["2001:db8::1"]));
        assert_eq!(asked((Some(7), four.clone()), (None, six.clone())).await, (four.clone(), 57));
        assert_eq!(asked((None, four.clone()), (Some(7), six.clone())).await, (six.clone(), 57));
        let both = ips(&["192.0.2.1", "2001:db8::1"]);
        assert_eq!(asked((Some(7), four.clone()), (Some(56), six.clone())).await, (both.clone(), 56));
        assert_eq!(asked((Some(56), four), (Some(7), six)).await, (both, 56));
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_that_fails_does_not_hide_the_other_however_slow_that_is() {
        let (four, six) = (ips(&["192.0.2.1"]), ips(&["2001:db8::1"]));
        for error in [ResolveError::NotFound, ResolveError::Server, ResolveError::TimedOut] {
            let failed = Err(error);
            assert_eq!(
                asked((Some(900), four.clone()), (Some(7), failed.clone())).await,
                (four.clone(), 900)
            );
            assert_eq!(asked((Some(7), failed.clone()), (Some(900), six.clone())).await, (six.clone(), 900));
            assert_eq!(asked((Some(7), failed), (Some(8), ips(&[]))).await, (Err(error), 8));
        }
        // An answer to another question is none.
        assert_eq!(asked((Some(1), ips(&["2001:db8::1"])), (Some(9), six.clone())).await, (six, 9));
    }
}
