//! A POP3 client (RFC 1939) that retrieves its whole maildrop.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Call, Caller, Sasl, Security, Seen, Step, VisitError, log_in};
use crate::dialogue::Ear;
use crate::digest;

/// How to give name and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// USER, then PASS.
    UserPass,
    /// APOP, with the timestamp of the greeting.
    Apop,
    /// AUTH (RFC 5034).
    Sasl(Sasl),
}

impl How {
    fn steps(self, greeting: &str, login: &str, password: &str) -> Vec<Step> {
        let say = |text: String| Step::Say(text + "\r\n");
        match self {
            Self::UserPass => vec![say(format!("USER {login}")), say(format!("PASS {password}"))],
            Self::Apop => {
                let timestamp = greeting.find('<').and_then(|at| greeting.get(at..)).unwrap_or_default();
                let digest = digest::apop(password.as_bytes(), timestamp.as_bytes());
                vec![say(format!("APOP {login} {digest}"))]
            }
            Self::Sasl(sasl) => sasl.steps("AUTH", login, password),
        }
    }
}

const STAT: &str = "STAT\r\n";

/// The whole visit.
///
/// # Errors
///
/// Whatever was not as expected. A refused login is expected.
pub async fn visit<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    caller: &Caller,
    how: How,
    ear: Ear,
) -> Result<Seen, VisitError> {
    let mut seen = Seen::default();
    visit_and_tell(stream, caller, how, ear, &mut seen).await?;
    Ok(seen)
}

/// The same for a visit that may be cut short: what was seen until then is in `seen`, which is empty before.
///
/// # Errors
///
/// As there.
pub async fn visit_and_tell<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    caller: &Caller,
    how: How,
    ear: Ear,
    seen: &mut Seen,
) -> Result<(), VisitError> {
    let mut call = Call::begin(stream, caller, ear).await?;
    seen.greeting = expect_ok(&mut call).await?;
    if let Security::StartTls(tls) = &caller.security {
        call.say("STLS\r\n").await?;
        expect_ok(&mut call).await?;
        call = call.secure(tls).await?;
    }
    if caller.asks_first {
        call.doing = "asking what there is";
        call.say("CAPA\r\n").await?;
        expect_ok(&mut call).await?;
        while call.line().await? != "." {}
    }
    for password in &caller.passwords {
        let behind = caller.pipelined.then_some(STAT);
        let steps = how.steps(&seen.greeting, &caller.login, password);
        log_in(&mut call, steps, "+", behind).await?;
        let reply = call.line().await?;
        if reply.starts_with("+OK") {
            seen.admitted = Some(reply);
            break;
        }
        if !reply.starts_with("-ERR") {
            return Err(call.unexpected(&reply));
        }
        seen.refusals.push(reply);
    }
    if seen.admitted.is_some() {
        if !caller.pipelined {
            call.say(STAT).await?;
        }
        maildrop(&mut call, seen).await?;
    }
    seen.farewell = call.leave("QUIT\r\n").await?;
    Ok(())
}

/// Hears the answer to STAT, then retrieves every message.
async fn maildrop<S: AsyncRead + AsyncWrite + Unpin>(
    call: &mut Call<S>,
    seen: &mut Seen,
) -> Result<(), VisitError> {
    call.doing = "counting messages";
    let reply = expect_ok(call).await?;
    let mut numbers = reply.split(' ').skip(1).map(str::parse::<usize>);
    let (Some(Ok(count)), Some(Ok(octets))) = (numbers.next(), numbers.next()) else {
        return Err(call.unexpected(&reply));
    };
    call.doing = "retrieving";
    for number in 1..=count {
        call.say(format!("RETR {number}\r\n")).await?;
        expect_ok(call).await?;
        let mut message = Vec::new();
        loop {
            let line = call.raw_line().await?;
            if line == ".\r\n" {
                break;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        seen.mail.push(message.into());
    }
    let total: usize = seen.mail.iter().map(Bytes::len).sum();
    match total == octets {
        true => Ok(()),
        false => Err(call.unexpected(&format!("{total} octets where STAT said {octets}"))),
    }
}

async fn expect_ok<S: AsyncRead + AsyncWrite + Unpin>(call: &mut Call<S>) -> Result<String, VisitError> {
    let line = call.line().await?;
    match line.starts_with("+OK") {
        true => Ok(line),
        false => Err(call.unexpected(&line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend;
    use crate::post_office::PostOffice;

    #[tokio::test]
    async fn a_client_alone_with_a_backend_retrieves_its_mail() {
        let mail = [&b"A: 1\r\n\r\n.\r\n..\r\n.x\r\n"[..], b"B: 2\r\n\r\n\r\n"].map(Bytes::from_static);
        let office = PostOffice::default();
        office.open("john@example.com", "hunter2", mail.clone());
        for pipelined in [false, true] {
            let caller = Caller {
                login: "john@example.com".into(),
                passwords: vec!["hunter2".into()],
                security: Security::Clear,
                asks_first: false,
                pipelined,
                half_closes: pipelined,
            };
            let (near, far) = tokio::io::duplex(64);
            let serving = tokio::spawn({
                let office = office.clone();
                async move { backend::pop3::serve(far, &office, Ear::default()).await }
            });
            let seen = visit(near, &caller, How::UserPass, Ear::default()).await.unwrap();
            assert_eq!(seen.mail, mail);
            assert_eq!(seen.farewell, ["+OK bye"]);
            serving.await.unwrap().unwrap();
        }
    }
}
