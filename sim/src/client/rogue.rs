//! Clients that mean harm, or are broken. None of them ever gets more than a refusal, but for the one that has a right password and
//! never reads what it is sent.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gatepost_core::Protocol;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::{Link, Tls};
use crate::cast::Door;
use crate::chance::Chance;

/// How much of what it hears a rogue remembers.
const HEARD_BYTES_MAX: usize = 64 * 1024;

/// How much one that floods sends at most: far more than Gatepost may keep of anybody.
const FLOOD_BYTES: usize = 192 * 1024;

/// Marks whatever must never be answered: a tag, and a part of a name.
pub const SMUGGLED: &str = "smuggled";

/// What a rogue is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mischief {
    /// Says octets of chance.
    Garbage,
    /// Says a line that does not end.
    Flood,
    /// Says commands that there are not.
    Nonsense,
    /// Says nothing at all.
    Silence,
    /// Says its command an octet at a time, and never the last one.
    Drip,
    /// Speaks HTTP.
    Http,
    /// Begins TLS where clear text is spoken.
    HelloInClear,
    /// Speaks in clear where TLS comes first.
    ClearInTls,
    /// Breaks off a TLS handshake.
    Abort,
    /// Says a whole login in one breath with STARTTLS, then makes TLS and listens.
    Smuggle,
    /// The same, but waits for the answer to STARTTLS.
    SmuggleLate,
    /// Gives its name in clear, and the password under TLS.
    Remember,
    /// Logs in with names that no header, command or log line could hold as they are.
    OddLogin,
    /// Logs in, asks for everything over and over, and never reads.
    Deaf,
    /// Says wrong passwords all at once, as many as it can.
    Guess,
}

impl Mischief {
    /// All there are.
    pub const ALL: [Self; 15] = [
        Self::Garbage,
        Self::Flood,
        Self::Nonsense,
        Self::Silence,
        Self::Drip,
        Self::Http,
        Self::HelloInClear,
        Self::ClearInTls,
        Self::Abort,
        Self::Smuggle,
        Self::SmuggleLate,
        Self::Remember,
        Self::OddLogin,
        Self::Deaf,
        Self::Guess,
    ];

    /// Whether the auth server may hear of it. All the others are garbage, which concerns nobody but the session itself.
    #[must_use]
    pub const fn may_ask(self) -> bool {
        matches!(self, Self::OddLogin | Self::Deaf | Self::Guess)
    }

    /// Whether it is to be let in.
    #[must_use]
    pub const fn is_admitted(self) -> bool {
        matches!(self, Self::Deaf)
    }

    /// A door through which it can be done.
    #[must_use]
    pub fn door(self, chance: &Chance) -> Door {
        match self {
            Self::Http | Self::HelloInClear => Door::Clear,
            Self::ClearInTls => Door::Implicit,
            Self::Abort => chance.one_of(&[Door::Implicit, Door::StartTls], Door::Implicit),
            Self::Smuggle | Self::SmuggleLate | Self::Remember => Door::StartTls,
            Self::OddLogin | Self::Deaf | Self::Guess => Door::Implicit,
            _ => chance.one_of(&[Door::Clear, Door::Implicit], Door::Clear),
        }
    }
}

/// A rogue on its way.
#[derive(Clone, Debug)]
pub struct Rogue {
    /// What it speaks, more or less.
    pub protocol: Protocol,
    /// Where it comes in.
    pub door: Door,
    /// What it is up to.
    pub mischief: Mischief,
    /// Somebody's name and password.
    pub login: (String, String),
    /// What it makes TLS with.
    pub tls: Tls,
}

/// What a rogue heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// In clear, or beneath TLS where that was never made.
    pub in_clear: Vec<u8>,
    /// Under TLS.
    pub under_tls: Vec<u8>,
}

impl Rogue {
    /// Does what it is up to, until the other side hangs up or `patience` is over. Whatever fails on the way is the end of it.
    pub async fn visit<S>(&self, stream: S, chance: &Chance, patience: Duration, heard: &mut Heard)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _ = timeout(patience, self.misbehave(stream, chance, heard)).await;
    }

    async fn misbehave<S>(&self, mut stream: S, chance: &Chance, heard: &mut Heard) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (name, password) = (&self.login.0, &self.login.1);
        match (self.mischief, self.door) {
            (Mischief::ClearInTls, _) => {
                stream.write_all(self.log_in(name, password).as_bytes()).await?;
                return hear_out(&mut stream, &mut heard.in_clear).await;
            }
            (Mischief::Abort, Door::Implicit) => return abort(stream, chance).await,
            // Not even a handshake.
            (Mischief::Silence, Door::Implicit) => {
                return hear_out(&mut stream, &mut heard.in_clear).await;
            }
            (_, Door::Implicit) => {
                let mut link = Link::secured(stream, &self.tls).await?;
                return self.speak(&mut link, chance, &mut heard.under_tls).await;
            }
            (_, Door::Clear) => return self.speak(&mut stream, chance, &mut heard.in_clear).await,
            (_, Door::StartTls) => {}
        }
        hear_line(&mut stream, &mut heard.in_clear).await?;
        let before = match self.mischief {
            Mischief::Remember => self.before_tls(name),
            _ => String::new(),
        };
        for line in before.split_inclusive('\n') {
            stream.write_all(line.as_bytes()).await?;
            hear_line(&mut stream, &mut heard.in_clear).await?;
        }
        let smuggled = self.log_in(name, password);
        let mut word = match self.protocol {
            Protocol::Imap => "t STARTTLS\r\n".to_owned(),
            Protocol::Pop3 => "STLS\r\n".to_owned(),
            Protocol::Smtp => "STARTTLS\r\n".to_owned(),
        };
        if self.mischief == Mischief::Smuggle {
            word += &smuggled;
        }
        stream.write_all(word.as_bytes()).await?;
        let answered = heard.in_clear.len();
        hear_line(&mut stream, &mut heard.in_clear).await?;
        if heard.in_clear.len() == answered {
            return Ok(());
        }
        match self.mischief {
            Mischief::SmuggleLate => stream.write_all(smuggled.as_bytes()).await?,
            Mischief::Abort => return abort(stream, chance).await,
            _ => {}
        }
        let mut link = Link::secured(stream, &self.tls).await?;
        if self.mischief == Mischief::Remember {
            link.write_all(self.after_tls(password).as_bytes()).await?;
            link.flush().await?;
        }
        hear_out(&mut link, &mut heard.under_tls).await
    }

    /// All that needs no more than a stream, clear or not.
    async fn speak<S>(&self, stream: &mut S, chance: &Chance, heard: &mut Vec<u8>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (name, password) = (&self.login.0, &self.login.1);
        match self.mischief {
            Mischief::Garbage => {
                let mut octets = vec![0; usize::try_from(1 + chance.below(4000)).unwrap_or(1)];
                chance.fill(&mut octets);
                stream.write_all(&octets).await?;
            }
            Mischief::Flood => {
                for _ in 0..FLOOD_BYTES / 1024 {
                    stream.write_all(&[b'x'; 1024]).await?;
                }
            }
            Mischief::Nonsense => {
                for number in 0..40 {
                    stream.write_all(format!("n{number} FROBNICATE\r\n").as_bytes()).await?;
                }
            }
            Mischief::Drip => {
                let word = self.log_in(name, password);
                for octet in word.trim_end().bytes() {
                    stream.write_all(&[octet]).await?;
                    stream.flush().await?;
                    sleep(Duration::from_millis(700)).await;
                }
            }
            Mischief::Http => stream.write_all(b"GET / HTTP/1.1\r\nHost: mail.example.com\r\n\r\n").await?,
            Mischief::HelloInClear => {
                stream.write_all(&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]).await?;
            }
            Mischief::OddLogin => {
                let name = odd_name(chance);
                stream.write_all(&self.odd_log_in(&name)).await?;
            }
            Mischief::Guess => {
                hear_line(stream, heard).await?;
                for number in 0..8 {
                    let guess = self.log_in(name, &format!("{}{number}", crate::cast::WRONG_PASSWORD));
                    stream.write_all(guess.as_bytes()).await?;
                }
            }
            Mischief::Deaf => {
                hear_line(stream, heard).await?;
                stream.write_all(self.log_in(name, password).as_bytes()).await?;
                stream.flush().await?;
                let ask = match self.protocol {
                    Protocol::Imap => "s SELECT INBOX\r\nf FETCH 1:* BODY.PEEK[]\r\n",
                    Protocol::Pop3 => "RETR 1\r\n",
                    Protocol::Smtp => "EHLO again\r\n",
                };
                for _ in 0..200 {
                    stream.write_all(ask.as_bytes()).await?;
                    sleep(Duration::from_millis(20)).await;
                }
                sleep(Duration::from_secs(3600)).await;
            }
            _ => {}
        }
        stream.flush().await?;
        hear_out(stream, heard).await
    }

    /// A whole login, in one breath.
    fn log_in(&self, name: &str, password: &str) -> String {
        let plain = STANDARD.encode(format!("\0{name}\0{password}"));
        match self.protocol {
            Protocol::Imap => format!("{SMUGGLED} LOGIN \"{name}\" \"{password}\"\r\n"),
            Protocol::Pop3 => format!("USER {name}\r\nPASS {password}\r\n"),
            Protocol::Smtp => format!("EHLO {SMUGGLED}.example.org\r\nAUTH PLAIN {plain}\r\n"),
        }
    }

    /// The half of a login that is said in clear.
    fn before_tls(&self, name: &str) -> String {
        match self.protocol {
            Protocol::Imap => String::new(),
            Protocol::Pop3 => format!("USER {name}\r\n"),
            Protocol::Smtp => format!("HELO {SMUGGLED}.example.org\r\n"),
        }
    }

    /// The other half, of no use by itself.
    fn after_tls(&self, password: &str) -> String {
        match self.protocol {
            Protocol::Imap => format!("{{{}}}\r\n{password}\r\n", password.len()),
            Protocol::Pop3 => format!("PASS {password}\r\n"),
            Protocol::Smtp => format!("{}\r\n", STANDARD.encode(password)),
        }
    }

    fn odd_log_in(&self, name: &[u8]) -> Vec<u8> {
        let password = crate::cast::WRONG_PASSWORD.as_bytes();
        let plain = STANDARD.encode([b"\0", name, b"\0", password].concat());
        match self.protocol {
            Protocol::Imap => {
                let announced = format!("a LOGIN {{{}+}}\r\n", name.len());
                [announced.as_bytes(), name, b" ", password, b"\r\n"].concat()
            }
            Protocol::Pop3 => format!("AUTH PLAIN {plain}\r\n").into_bytes(),
            Protocol::Smtp => {
                // The name that EHLO gives goes into a header of its own.
                let hello = [b"EHLO ", name, b"\r\n"].concat();
                [hello.as_slice(), b"EHLO odd.example.org\r\n", format!("AUTH PLAIN {plain}\r\n").as_bytes()]
                    .concat()
            }
        }
    }
}

/// A name that breaks whatever does not take care.
fn odd_name(chance: &Chance) -> Bytes {
    let odd: [&'static [u8]; 9] = [
        b"a\r\nAuth-Status: OK",
        b"a\nb",
        b"a\0b",
        b"100%25 sure",
        b"\xff\xfe\x80",
        b"a b\tc",
        b"\x1b[2J\x07",
        b"\"quoted\\\"",
        b"+7F=\x7f~",
    ];
    let one = usize::try_from(chance.below(odd.len() as u64)).unwrap_or(0);
    Bytes::from_static(odd.get(one).copied().unwrap_or_default())
}

/// The beginning of a handshake, and not more of it.
async fn abort<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, chance: &Chance) -> io::Result<()> {
    let mut record = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    record.extend(chance.octets::<64>());
    stream.write_all(&record).await?;
    stream.flush().await?;
    match chance.once_in(2) {
        // Gone without a word.
        true => Ok(()),
        false => hear_out(&mut stream, &mut Vec::new()).await,
    }
}

/// Hears up to a line's end, or the other side's.
async fn hear_line<S: AsyncRead + Unpin>(stream: &mut S, heard: &mut Vec<u8>) -> io::Result<()> {
    let mut octet = [0];
    while heard.len() < HEARD_BYTES_MAX {
        match stream.read(&mut octet).await? {
            0 => return Ok(()),
            _ => heard.extend_from_slice(&octet),
        }
        if octet == *b"\n" {
            return Ok(());
        }
    }
    Ok(())
}

/// Hears the other side out to its end, and hangs up. What is beyond the bound is not remembered.
async fn hear_out<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, heard: &mut Vec<u8>) -> io::Result<()> {
    let mut octets = [0; 1024];
    loop {
        match stream.read(&mut octets).await? {
            0 => return stream.shutdown().await,
            read if heard.len() < HEARD_BYTES_MAX => {
                heard.extend_from_slice(octets.get(..read).unwrap_or_default());
            }
            _ => {}
        }
    }
}
