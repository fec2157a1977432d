//! The backends: each protocol's login as nginx and Gatepost speak it, and then a few words of our own, the same behind
//! every protocol:
//!
//! | said | answered |
//! | --- | --- |
//! | `WHOAMI` | the user that logged in |
//! | `DOWN n` | `n` octets of the pattern |
//! | `UP n`, and `n` octets of the pattern | `GOT n` |
//! | `ECHO` | `ECHO`, and from then on whatever is said |
//! | `BYE` | the end |

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::Outcome;
use crate::door::Protocol;
use crate::job::Ports;
use crate::pattern;
use crate::role;
use crate::wire::Talk;

/// Everybody's.
pub(crate) const PASSWORD: &str = "hunter2";

pub(crate) fn run() -> Outcome<()> {
    role::on_one_thread(async {
        let mut ports = [0; 3];
        for (port, protocol) in ports.iter_mut().zip([Protocol::Imap, Protocol::Pop3, Protocol::Smtp]) {
            let listener = role::listen()?;
            *port = listener.local_addr()?.port();
            spawn_local(accept(listener, protocol));
        }
        role::report(&Ports { ports })?;
        role::until_told_to_end().await
    })
}

async fn accept(listener: TcpListener, protocol: Protocol) {
    while let Ok((stream, _)) = listener.accept().await {
        spawn_local(async move {
            let served = serve(stream, protocol).await;
            role::complain("backend", served);
        });
    }
}

async fn serve(stream: TcpStream, protocol: Protocol) -> Outcome<()> {
    stream.set_nodelay(true)?;
    let mut talk = Talk::new(stream);
    let user = match protocol {
        Protocol::Imap => imap(&mut talk).await?,
        Protocol::Pop3 => pop3(&mut talk).await?,
        Protocol::Smtp | Protocol::SmtpNone => smtp(&mut talk).await?,
    };
    match user {
        Some(user) => obey(talk, &user).await,
        None => Ok(()),
    }
}

/// `{n}` at the end of a line (RFC 9051, 4.3).
fn literal(line: &str) -> Option<u64> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.trim_end_matches('+').parse().ok()
}

/// An argument: where the line has it, or in the literal that follows, which has to be asked for unless it is one that does
/// not wait (RFC 7888).
async fn imap_argument(talk: &mut Talk, line: &mut String) -> Outcome<String> {
    if let (None, Some(length)) = (line.trim_start().split_once(' '), literal(line)) {
        if !line.ends_with("+}") {
            talk.say("+ go on\r\n").await?;
        }
        let mut argument = Vec::new();
        talk.octets(length, |_, octets| {
            argument.extend_from_slice(octets);
            Ok(())
        })
        .await?;
        *line = talk.line().await?.ok_or("the proxy left within its login")?;
        return Ok(String::from_utf8(argument)?);
    }
    let whole = line.trim_start().to_owned();
    let (argument, rest) = whole.split_once(' ').unwrap_or((&whole, ""));
    rest.clone_into(line);
    Ok(argument.trim_matches('"').to_owned())
}

async fn imap(talk: &mut Talk) -> Outcome<Option<String>> {
    talk.say("* OK [CAPABILITY IMAP4rev1 LITERAL+] ready\r\n").await?;
    let Some(line) = talk.line().await? else { return Ok(None) };
    let (tag, rest) = line.split_once(" LOGIN ").ok_or_else(|| format!("not a LOGIN: {line:?}"))?;
    let mut rest = rest.to_owned();
    let user = imap_argument(talk, &mut rest).await?;
    let password = imap_argument(talk, &mut rest).await?;
    if password != PASSWORD {
        return Err(format!("{user} came with another password").into());
    }
    talk.say(format!("{tag} OK logged in\r\n")).await?;
    Ok(Some(user))
}

async fn pop3(talk: &mut Talk) -> Outcome<Option<String>> {
    talk.say("+OK ready\r\n").await?;
    let Some(line) = talk.line().await? else { return Ok(None) };
    let user = line.strip_prefix("USER ").ok_or("not USER")?.to_owned();
    talk.say("+OK\r\n").await?;
    if talk.line().await?.as_deref() != Some(&format!("PASS {PASSWORD}")) {
        return Err(format!("{user} came with another password").into());
    }
    talk.say("+OK logged in\r\n").await?;
    Ok(Some(user))
}

/// Whoever XCLIENT names is the user, or else the first recipient. Over once the proxy has nothing more to say for the
/// client: the next word is the client's own.
async fn smtp(talk: &mut Talk) -> Outcome<Option<String>> {
    talk.say("220 backend ESMTP\r\n").await?;
    let mut user = None;
    loop {
        let Some(line) = talk.line().await? else { return Ok(None) };
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => talk.say("250-backend\r\n250 XCLIENT ADDR LOGIN NAME\r\n").await?,
            "HELO" => talk.say("250 backend\r\n").await?,
            "XCLI" => {
                let login = line.split(' ').find_map(|word| word.strip_prefix("LOGIN="));
                user = login.map(str::to_owned);
                talk.say("220 backend ESMTP\r\n").await?;
            }
            "MAIL" => talk.say("250 2.1.0 OK\r\n").await?,
            "RCPT" => {
                let recipient = line.split(['<', '>']).nth(1).ok_or("no recipient")?;
                user = Some(recipient.to_owned());
                talk.say("250 2.1.5 OK\r\n").await?;
            }
            "WHOA" => {
                let user = user.ok_or("nobody logged in")?;
                talk.say(format!("{user}\r\n")).await?;
                return Ok(Some(user));
            }
            _ => return Err(format!("not a word of SMTP: {line:?}").into()),
        }
    }
}

async fn obey(mut talk: Talk, user: &str) -> Outcome<()> {
    while let Some(line) = talk.line().await? {
        let (word, count) = line.split_once(' ').unwrap_or((&line, "0"));
        let count: u64 = count.parse()?;
        match word {
            "WHOAMI" => talk.say(format!("{user}\r\n")).await?,
            "DOWN" => {
                let mut sent = 0;
                while sent < count {
                    let piece = pattern::piece(sent, count - sent);
                    talk.say(piece).await?;
                    sent += piece.len() as u64;
                }
            }
            "UP" => {
                talk.octets(count, pattern::check).await?;
                talk.say(format!("GOT {count}\r\n")).await?;
            }
            "ECHO" => {
                talk.say("ECHO\r\n").await?;
                return echo(talk).await;
            }
            "BYE" => return Ok(()),
            other => return Err(format!("not a word of ours: {other:?}").into()),
        }
    }
    Ok(())
}

async fn echo(talk: Talk) -> Outcome<()> {
    let (mut stream, early) = talk.into_parts();
    stream.write_all(&early).await?;
    let mut room = [0; 4096];
    loop {
        match stream.read(&mut room).await? {
            0 => return Ok(()),
            length => stream.write_all(room.get(..length).unwrap_or_default()).await?,
        }
    }
}
