//! A POP3 server (RFC 1939): USER and PASS, then STAT, LIST, UIDL, RETR, TOP, DELE, RSET, NOOP, QUIT.

use std::io;

use gatepost_core::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{cut, number, verb};
use crate::dialogue::Ear;
use crate::post_office::{Message, PostOffice};
use crate::talk::Talk;

/// Serves one connection to its end.
///
/// # Errors
///
/// The stream's own, and a line too long.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    office: &PostOffice,
    ear: Ear,
) -> io::Result<()> {
    let mut talk = Talk::answering(stream, ear);
    talk.say("+OK POP3 ready\r\n").await?;
    converse(talk, office).await
}

/// Serves one that was greeted before TLS was made.
///
/// # Errors
///
/// As there.
pub async fn go_on<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    office: &PostOffice,
    ear: Ear,
) -> io::Result<()> {
    converse(Talk::answering(stream, ear), office).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut talk: Talk<S>,
    office: &PostOffice,
) -> io::Result<()> {
    let Some(login) = authorized(&mut talk, office).await? else { return talk.hang_up().await };
    let mut maildrop = Maildrop { mail: office.mail(&login), deleted: Vec::new() };
    while let Some(line) = talk.line().await? {
        let (verb, rest) = verb(&line);
        if verb == b"QUIT" {
            office.remove(&login, &maildrop.deleted);
            talk.say("+OK bye\r\n").await?;
            break;
        }
        let reply = maildrop.reply(&verb, rest);
        talk.say(reply).await?;
    }
    talk.hang_up().await
}

/// The AUTHORIZATION state. Nobody, if the client leaves before it has logged in.
async fn authorized<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<S>,
    office: &PostOffice,
) -> io::Result<Option<String>> {
    let mut user = None;
    while let Some(line) = talk.line().await? {
        let (verb, rest) = verb(&line);
        match (verb.as_slice(), user.take()) {
            (b"CAPA", _) => talk.say("+OK\r\nUSER\r\nTOP\r\nUIDL\r\n.\r\n").await?,
            (b"USER", _) if !rest.is_empty() => {
                user = Some(rest.to_vec());
                talk.say("+OK\r\n").await?;
            }
            (b"PASS", Some(user)) => match office.admit(Protocol::Pop3, &user, rest) {
                Some(login) => {
                    let count = office.mail(&login).len();
                    talk.say(format!("+OK {login} has {count} messages\r\n")).await?;
                    return Ok(Some(login));
                }
                None => talk.say("-ERR [AUTH] wrong password\r\n").await?,
            },
            (b"QUIT", _) => {
                talk.say("+OK bye\r\n").await?;
                return Ok(None);
            }
            _ => talk.say("-ERR log in first\r\n").await?,
        }
    }
    Ok(None)
}

/// The TRANSACTION state: the mail as it was at the login, and what is marked to go at QUIT.
struct Maildrop {
    mail: Vec<Message>,
    deleted: Vec<u32>,
}

impl Maildrop {
    fn reply(&mut self, verb: &[u8], rest: &[u8]) -> Vec<u8> {
        let reply = match verb {
            b"STAT" => Some(format!("+OK {} {}\r\n", self.kept().count(), self.octets())),
            b"LIST" => self.listing(rest, |message| message.octets.len().to_string()),
            b"UIDL" => self.listing(rest, |message| message.uid.to_string()),
            b"RETR" => return self.message(rest, None),
            b"TOP" => {
                let (which, lines) = cut(rest);
                return match number(lines) {
                    Some(lines) => self.message(which, Some(lines)),
                    None => b"-ERR how many lines?\r\n".to_vec(),
                };
            }
            b"DELE" => self.find(rest).map(|message| message.uid).map(|uid| {
                self.deleted.push(uid);
                "+OK marked\r\n".to_owned()
            }),
            b"RSET" => {
                self.deleted.clear();
                Some("+OK\r\n".to_owned())
            }
            b"NOOP" => Some("+OK\r\n".to_owned()),
            b"CAPA" => Some("+OK\r\nUSER\r\nTOP\r\nUIDL\r\n.\r\n".to_owned()),
            _ => Some("-ERR unknown command\r\n".to_owned()),
        };
        reply.unwrap_or_else(|| "-ERR no such message\r\n".to_owned()).into_bytes()
    }

    /// LIST and UIDL: of one message, or of all.
    fn listing(&self, which: &[u8], value: impl Fn(&Message) -> String) -> Option<String> {
        if !which.is_empty() {
            let message = self.find(which)?;
            return Some(format!("+OK {} {}\r\n", String::from_utf8_lossy(which), value(message)));
        }
        let lines: String =
            self.kept().map(|(number, message)| format!("{number} {}\r\n", value(message))).collect();
        Some(format!("+OK\r\n{lines}.\r\n"))
    }

    /// RETR, or TOP with a number of body lines; octets as they are but for the dots.
    fn message(&self, which: &[u8], body_lines: Option<usize>) -> Vec<u8> {
        let Some(message) = self.find(which) else { return b"-ERR no such message\r\n".to_vec() };
        let mut reply = b"+OK\r\n".to_vec();
        let mut left = None;
        for line in message.octets.split_inclusive(|&octet| octet == b'\n') {
            match (&mut left, body_lines) {
                (Some(0), _) => break,
                (Some(lines), _) => *lines -= 1,
                (None, Some(lines)) if line == b"\r\n" => left = Some(lines),
                _ => {}
            }
            if line.starts_with(b".") {
                reply.push(b'.');
            }
            reply.extend_from_slice(line);
        }
        reply.extend_from_slice(b".\r\n");
        reply
    }

    /// Messages that are not marked, with their numbers.
    fn kept(&self) -> impl Iterator<Item = (usize, &Message)> {
        (1..).zip(&self.mail).filter(|(_, message)| !self.deleted.contains(&message.uid))
    }

    fn find(&self, which: &[u8]) -> Option<&Message> {
        let wanted = number(which)?;
        self.kept().find(|&(number, _)| number == wanted).map(|(_, message)| message)
    }

    fn octets(&self) -> usize {
        self.kept().map(|(_, message)| message.octets.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn mail_is_listed_shown_and_deleted_at_quit_only() {
        let office = PostOffice::default();
        let mail = [&b"A: 1\r\n\r\n.dot\r\nend\r\n"[..], b"B: 2\r\n\r\n\r\n"].map(Bytes::from_static);
        office.open("john@example.com", "hunter2", mail);
        let script = "STAT\r\nUSER john@example.com\r\nPASS hunter1\r\nPASS hunter2\r\n\
            USER john@example.com\r\nPASS hunter2\r\nSTAT\r\nLIST\r\nUIDL 2\r\nRETR 1\r\nTOP 1 1\r\nRETR 3\r\n\
            DELE 1\r\nLIST\r\nRETR 1\r\nRSET\r\nDELE 2\r\nQUIT\r\n";
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        near.write_all(script.as_bytes()).await.unwrap();
        near.shutdown().await.unwrap();
        serve(far, &office, Ear::default()).await.unwrap();
        let mut said = String::new();
        near.read_to_string(&mut said).await.unwrap();
        assert_eq!(
            said,
            "+OK POP3 ready\r\n-ERR log in first\r\n+OK\r\n-ERR [AUTH] wrong password\r\n-ERR log in first\r\n\
             +OK\r\n+OK john@example.com has 2 messages\r\n+OK 2 29\r\n+OK\r\n1 19\r\n2 10\r\n.\r\n+OK 2 2\r\n\
             +OK\r\nA: 1\r\n\r\n..dot\r\nend\r\n.\r\n+OK\r\nA: 1\r\n\r\n..dot\r\n.\r\n-ERR no such message\r\n\
             +OK marked\r\n+OK\r\n2 10\r\n.\r\n-ERR no such message\r\n+OK\r\n+OK marked\r\n+OK bye\r\n"
        );
        assert_eq!(office.mail("john@example.com").len(), 1);
    }
}
