//! An IMAP server (RFC 3501) with one mailbox a user, INBOX: LOGIN, LIST, SELECT, EXAMINE, STATUS, FETCH, UID FETCH,
//! NOOP, CHECK, CLOSE, LOGOUT.

mod command;
mod fetch;

use std::io;

use gatepost_core::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};

use self::command::Command;
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
    let capabilities = office.literals().capabilities();
    talk.say(format!("* OK [CAPABILITY {capabilities}] IMAP ready\r\n")).await?;
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
    let mut guest = Guest { office, login: None, selected: None };
    while let Some(command) = command::read(&mut talk, office.literals()).await? {
        let reply = match &command {
            Ok(command) => guest.reply(command),
            Err(fault) => format!("{} BAD {fault}\r\n", fault.tag()).into_bytes(),
        };
        talk.say(reply).await?;
        if command.is_ok_and(|command| command.verb == "LOGOUT") {
            break;
        }
    }
    talk.hang_up().await
}

/// Who is there, and what is open before them.
struct Guest<'a> {
    office: &'a PostOffice,
    login: Option<String>,
    selected: Option<Vec<Message>>,
}

impl Guest<'_> {
    fn reply(&mut self, command: &Command) -> Vec<u8> {
        let tag = &command.tag;
        let capabilities = self.office.literals().capabilities();
        let said = |result: &str| format!("{tag} {result}\r\n").into_bytes();
        let reply = match (command.verb.as_str(), self.login.clone()) {
            ("CAPABILITY", _) => {
                Some(format!("* CAPABILITY {capabilities}\r\n{tag} OK completed\r\n").into_bytes())
            }
            ("NOOP" | "CHECK", _) => Some(said("OK completed")),
            ("LOGOUT", _) => Some(format!("* BYE until soon\r\n{tag} OK completed\r\n").into_bytes()),
            ("LOGIN", None) => self.login(command),
            (_, None) => Some(said("NO log in first")),
            ("LIST" | "LSUB", Some(_)) => list(command),
            ("SELECT" | "EXAMINE", Some(login)) => self.select(&login, command),
            ("STATUS", Some(login)) => self.status(&login, command),
            ("FETCH", Some(_)) => self.fetch(command, false),
            ("UID FETCH", Some(_)) => self.fetch(command, true),
            ("CLOSE", Some(_)) => {
                self.selected = None;
                Some(said("OK completed"))
            }
            _ => Some(said("BAD unknown command")),
        };
        reply.unwrap_or_else(|| said("BAD bad arguments"))
    }

    fn login(&mut self, command: &Command) -> Option<Vec<u8>> {
        let [login, password] = command.arguments.as_slice() else { return None };
        self.login = match command.in_one_step {
            true => self.office.in_one_step().admit(Protocol::Imap, login, password),
            false => self.office.admit(Protocol::Imap, login, password),
        };
        let capabilities = self.office.literals().capabilities();
        let reply = match self.login {
            Some(_) => format!("{} OK [CAPABILITY {capabilities}] Logged in\r\n", command.tag),
            None => format!("{} NO [AUTHENTICATIONFAILED] wrong password\r\n", command.tag),
        };
        Some(reply.into_bytes())
    }

    fn select(&mut self, login: &str, command: &Command) -> Option<Vec<u8>> {
        let [mailbox] = command.arguments.as_slice() else { return None };
        let tag = &command.tag;
        self.selected = None;
        if !mailbox.eq_ignore_ascii_case(b"INBOX") {
            return Some(format!("{tag} NO no such mailbox\r\n").into_bytes());
        }
        let mail = self.office.mail(login);
        let access = if command.verb == "SELECT" { "READ-WRITE" } else { "READ-ONLY" };
        let reply = format!(
            "* FLAGS (\\Seen)\r\n* {} EXISTS\r\n* 0 RECENT\r\n* OK [PERMANENTFLAGS ()] None\r\n\
             * OK [UIDVALIDITY 1] Valid\r\n* OK [UIDNEXT {}] Next\r\n{tag} OK [{access}] completed\r\n",
            mail.len(),
            self.office.uid_next(login)
        );
        self.selected = Some(mail);
        Some(reply.into_bytes())
    }

    fn status(&self, login: &str, command: &Command) -> Option<Vec<u8>> {
        let [mailbox, items] = command.arguments.as_slice() else { return None };
        let tag = &command.tag;
        if !mailbox.eq_ignore_ascii_case(b"INBOX") {
            return Some(format!("{tag} NO no such mailbox\r\n").into_bytes());
        }
        let count = self.office.mail(login).len();
        let items = String::from_utf8_lossy(items).to_ascii_uppercase();
        let items = items.strip_prefix('(')?.strip_suffix(')')?;
        let values: Option<Vec<String>> = items
            .split(' ')
            .map(|item| {
                let value = match item {
                    "MESSAGES" | "UNSEEN" => count,
                    "RECENT" => 0,
                    "UIDNEXT" => self.office.uid_next(login) as usize,
                    "UIDVALIDITY" => 1,
                    _ => return None,
                };
                Some(format!("{item} {value}"))
            })
            .collect();
        Some(format!("* STATUS INBOX ({})\r\n{tag} OK completed\r\n", values?.join(" ")).into_bytes())
    }

    fn fetch(&self, command: &Command, by_uid: bool) -> Option<Vec<u8>> {
        let Some(mail) = &self.selected else {
            return Some(format!("{} NO select a mailbox first\r\n", command.tag).into_bytes());
        };
        let [set, items] = command.arguments.as_slice() else { return None };
        let mut reply = fetch::responses(mail, set, items, by_uid)?;
        reply.extend_from_slice(format!("{} OK completed\r\n", command.tag).as_bytes());
        Some(reply)
    }
}

/// There is INBOX and nothing else, so a pattern either means it or means nothing.
fn list(command: &Command) -> Option<Vec<u8>> {
    let [_reference, pattern] = command.arguments.as_slice() else { return None };
    let line = match pattern.to_ascii_uppercase().as_slice() {
        b"" => format!("* {} (\\Noselect) \"/\" \"\"\r\n", command.verb),
        b"*" | b"%" | b"INBOX" => format!("* {} () \"/\" INBOX\r\n", command.verb),
        _ => String::new(),
    };
    Some(format!("{line}{} OK completed\r\n", command.tag).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::literals::Literals;
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn said(script: &str) -> String {
        said_by(&PostOffice::default(), script).await
    }

    async fn said_by(office: &PostOffice, script: &str) -> String {
        let mail = [&b"A: 1\r\nB: 2\r\n\r\nbody\r\n"[..], b"C: 3\r\n\r\n"].map(Bytes::from_static);
        office.open("john \"x\"", "hunter2", mail);
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        near.write_all(script.as_bytes()).await.unwrap();
        near.shutdown().await.unwrap();
        serve(far, office, Ear::default()).await.unwrap();
        let mut said = String::new();
        near.read_to_string(&mut said).await.unwrap();
        said.split_once("IMAP ready\r\n").unwrap().1.to_owned()
    }

    const LOGIN: &str = "a LOGIN \"john \\\"x\\\"\" hunter2\r\n";
    const LOGGED_IN: &str = "a OK [CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS] Logged in\r\n";

    #[tokio::test]
    async fn login_takes_quoted_strings_and_both_kinds_of_literals() {
        assert_eq!(said(LOGIN).await, LOGGED_IN);
        let synchronising = "a LOGIN {8}\r\njohn \"x\" {7}\r\nhunter2\r\n";
        assert_eq!(said(synchronising).await, format!("+ go on\r\n+ go on\r\n{LOGGED_IN}"));
        assert_eq!(said("a LOGIN {8+}\r\njohn \"x\" {7+}\r\nhunter2\r\n").await, LOGGED_IN);
        let office = PostOffice::default().taking(Literals::Asked);
        let unasked = said_by(&office, "a LOGIN {8+}\r\njohn \"x\" {7+}\r\nhunter2\r\n").await;
        assert!(unasked.starts_with("a BAD bad literal\r\n"), "{unasked}");
        let wrong = said("a LOGIN \"john \\\"x\\\"\" hunter1\r\n").await;
        assert_eq!(wrong, "a NO [AUTHENTICATIONFAILED] wrong password\r\n");
    }

    #[tokio::test]
    async fn mail_is_listed_and_fetched_as_curl_asks_for_it() {
        let script = "b LIST \"\" *\r\nc SELECT INBOX\r\nd FETCH 1 BODY[]\r\ne FETCH 1:* (UID RFC822.SIZE FLAGS)\r\n\
             f UID FETCH 2 BODY.PEEK[HEADER]\r\ng FETCH * BODY[TEXT]\r\nh STATUS inbox (MESSAGES UIDNEXT)\r\n\
             i CLOSE\r\nj FETCH 1 BODY[]\r\nk LOGOUT\r\nl NOOP\r\n";
        assert_eq!(
            said(&format!("{LOGIN}{script}")).await,
            format!(
                "{LOGGED_IN}* LIST () \"/\" INBOX\r\nb OK completed\r\n* FLAGS (\\Seen)\r\n* 2 EXISTS\r\n\
                 * 0 RECENT\r\n* OK [PERMANENTFLAGS ()] None\r\n* OK [UIDVALIDITY 1] Valid\r\n\
                 * OK [UIDNEXT 3] Next\r\nc OK [READ-WRITE] completed\r\n\
                 * 1 FETCH (BODY[] {{20}}\r\nA: 1\r\nB: 2\r\n\r\nbody\r\n)\r\nd OK completed\r\n\
                 * 1 FETCH (UID 1 RFC822.SIZE 20 FLAGS ())\r\n* 2 FETCH (UID 2 RFC822.SIZE 8 FLAGS ())\r\n\
                 e OK completed\r\n* 2 FETCH (BODY[HEADER] {{8}}\r\nC: 3\r\n\r\n UID 2)\r\nf OK completed\r\n\
                 * 2 FETCH (BODY[TEXT] {{0}}\r\n)\r\ng OK completed\r\n\
                 * STATUS INBOX (MESSAGES 2 UIDNEXT 3)\r\nh OK completed\r\ni OK completed\r\n\
                 j NO select a mailbox first\r\n* BYE until soon\r\nk OK completed\r\n"
            )
        );
    }

    #[tokio::test]
    async fn nonsense_is_bad_and_the_session_goes_on() {
        let said =
            said("\r\nx\r\na LOGIN \"open\r\nb LOGIN one\r\nc SELECT INBOX\r\nd FROB\r\ne NOOP\r\n").await;
        assert_eq!(
            said,
            "* BAD no command\r\nx BAD no command\r\na BAD open quote\r\nb BAD bad arguments\r\nc NO log in first\r\n\
             d NO log in first\r\ne OK completed\r\n"
        );
    }
}
