//! An SMTP client (RFC 5321, RFC 4954) that hands in one letter.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Call, Caller, Sasl, Security, Seen, VisitError, log_in};
use crate::dialogue::Ear;
use crate::post_office::Letter;

const EHLO: &str = "EHLO client.example.org\r\n";

/// What a client calls itself before STARTTLS: a name that must be forgotten then.
pub const NAME_IN_CLEAR: &str = "in-clear.example.org";

/// The whole visit; the letter's `login` is who the books should show.
///
/// # Errors
///
/// Whatever was not as expected. A refused login is expected.
pub async fn visit<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    caller: &Caller,
    how: Sasl,
    letter: &Letter,
    ear: Ear,
) -> Result<Seen, VisitError> {
    let mut seen = Seen::default();
    visit_and_tell(stream, caller, how, letter, ear, &mut seen).await?;
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
    how: Sasl,
    letter: &Letter,
    ear: Ear,
    seen: &mut Seen,
) -> Result<(), VisitError> {
    let mut call = Call::begin(stream, caller, ear).await?;
    seen.greeting = expect(&mut call, "220").await?;
    match &caller.security {
        Security::StartTls(_) => call.say(format!("EHLO {NAME_IN_CLEAR}\r\n")).await?,
        Security::Clear | Security::Implicit(_) => call.say(EHLO).await?,
    }
    let extensions = expect(&mut call, "250").await?;
    if let Security::StartTls(tls) = &caller.security {
        if !extensions.contains("STARTTLS") {
            return Err(call.unexpected(&extensions));
        }
        call.say("STARTTLS\r\n").await?;
        expect(&mut call, "220").await?;
        call = call.secure(tls).await?;
        call.say(EHLO).await?;
        expect(&mut call, "250").await?;
    }
    let mail = format!("MAIL FROM:<{}>\r\n", letter.from);
    for password in &caller.passwords {
        let steps = how.steps("AUTH", &caller.login, password);
        let behind = caller.pipelined.then_some(mail.as_str());
        log_in(&mut call, steps, "334", behind).await?;
        let reply = reply(&mut call).await?;
        match reply.as_bytes() {
            [b'2', ..] => {
                seen.admitted = Some(reply);
                break;
            }
            [b'4' | b'5', ..] => seen.refusals.push(reply),
            _ => return Err(call.unexpected(&reply)),
        }
    }
    if seen.admitted.is_some() {
        if !caller.pipelined {
            call.say(mail).await?;
        }
        send(&mut call, letter).await?;
    }
    seen.farewell = call.leave("QUIT\r\n").await?;
    Ok(())
}

/// Hears the answer to MAIL and goes on from there.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    call: &mut Call<S>,
    letter: &Letter,
) -> Result<(), VisitError> {
    call.doing = "sending";
    expect(call, "250").await?;
    for to in &letter.to {
        call.say(format!("RCPT TO:<{to}>\r\n")).await?;
        expect(call, "250").await?;
    }
    call.say("DATA\r\n").await?;
    expect(call, "354").await?;
    let mut data = Vec::with_capacity(letter.octets.len() + 3);
    for line in letter.octets.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    data.extend_from_slice(b".\r\n");
    call.say(data).await?;
    expect(call, "250").await.map(drop)
}

/// A whole reply, its lines joined by line feeds.
async fn reply<S: AsyncRead + AsyncWrite + Unpin>(call: &mut Call<S>) -> Result<String, VisitError> {
    let mut reply = String::new();
    loop {
        let line = call.line().await?;
        reply.push_str(&line);
        match line.as_bytes() {
            [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b'-', ..] => reply.push('\n'),
            [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ', ..] => return Ok(reply),
            _ => return Err(call.unexpected(&line)),
        }
    }
}

async fn expect<S: AsyncRead + AsyncWrite + Unpin>(
    call: &mut Call<S>,
    code: &str,
) -> Result<String, VisitError> {
    let reply = reply(call).await?;
    match reply.starts_with(code) {
        true => Ok(reply),
        false => Err(call.unexpected(&reply)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend;
    use crate::post_office::PostOffice;
    use bytes::Bytes;

    #[tokio::test]
    async fn a_client_alone_with_a_backend_hands_in_its_letter() {
        for pipelined in [false, true] {
            let office = PostOffice::default();
            office.open("john@example.com", "hunter2", []);
            let caller = Caller {
                login: "john@example.com".into(),
                passwords: vec!["hunter2".into()],
                security: Security::Clear,
                asks_first: false,
                pipelined,
                half_closes: pipelined,
            };
            let letter = Letter {
                login: Some("john@example.com".into()),
                from: "john@example.com".into(),
                to: vec!["jane@example.net".into(), "joe@example.net".into()],
                octets: Bytes::from_static(b"A: 1\r\n\r\n.\r\n..x\r\n\r\n"),
            };
            let (near, far) = tokio::io::duplex(64);
            let serving = tokio::spawn({
                let office = office.clone();
                async move { backend::smtp::serve(far, &office, Ear::default()).await }
            });
            let seen = visit(near, &caller, Sasl::PlainAtOnce, &letter, Ear::default()).await.unwrap();
            assert_eq!(seen.farewell, ["221 2.0.0 Bye"]);
            assert_eq!(office.letters(), [letter]);
            serving.await.unwrap().unwrap();
        }
    }
}
