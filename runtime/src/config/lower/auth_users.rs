//! `auth_users`: the users file that takes the place of an auth server (decision 27), and what it cannot keep.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use gatepost_core::{Address, AuthServer, Mechanism, Protocol, Target};
use zeroize::Zeroizing;

use super::scope::{Named, Scope};
use super::server::{Block, effective};
use super::{Ground, Seen};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::tree::Mark;
use crate::users::{Bench, FILE_BYTES_MAX, Users};

/// The directives about an auth server, by their beginning. Of these a users file heeds one.
const ABOUT_AUTH_SERVERS: &str = "auth_http_";
const HEEDED: &str = "auth_http_timeout";

/// The users files of a configuration, each read once however many servers name it.
pub(super) struct Files<'a> {
    ground: &'a Ground<'a>,
    bench: Arc<Bench>,
    /// None: there is something wrong with it, which was said.
    read: BTreeMap<PathBuf, Option<Arc<Users>>>,
}

impl<'a> Files<'a> {
    /// None yet.
    pub(super) fn new(ground: &'a Ground<'a>) -> Self {
        let bench = Arc::new(Bench::new(ground.surroundings.cores()));
        Self { ground, bench, read: BTreeMap::new() }
    }

    /// The users in this file. None if they are not to be had.
    pub(super) fn users(
        &mut self,
        file: &Named,
        block: &Block,
        complaints: &mut Complaints,
    ) -> Option<Arc<Users>> {
        if let Some(known) = self.read.get(&file.path) {
            return known.clone();
        }
        let read = self.read(file, block, complaints).map(Arc::new);
        self.read.insert(file.path.clone(), read.clone());
        read
    }

    fn read(&self, file: &Named, block: &Block, complaints: &mut Complaints) -> Option<Users> {
        let (path, surroundings) = (&file.path, self.ground.surroundings);
        let noticed = |message: String| noticed(file, block, message);
        let text = surroundings.read(path, FILE_BYTES_MAX + 1).map(Zeroizing::new).map_err(|error| {
            noticed(format!("{} \"{}\" failed ({}: {})", error.call, path.display(), error.code, error.text))
        });
        let text = complaints.note(text)?;
        if text.len() > FILE_BYTES_MAX {
            let mebibytes = FILE_BYTES_MAX / (1024 * 1024);
            let message = format!("users file \"{}\" is larger than {mebibytes} MiB", path.display());
            complaints.push(noticed(message));
            return None;
        }
        let shown = path.to_string_lossy();
        let read = Users::read(&shown, &text, self.ground.upstream_names, self.bench.clone());
        let users = match read {
            Ok(users) => users,
            Err(mistakes) => {
                for mistake in mistakes {
                    let complaint = noticed(mistake.text).in_file(path, mistake.line);
                    complaints.push(complaint.hint(mistake.hint));
                }
                return None;
            }
        };
        if users.is_empty() {
            let message = format!("users file \"{shown}\" names nobody, every login is refused");
            complaints.push(noticed(message).warning());
        }
        if surroundings.is_open_to_others(path) {
            let message =
                format!("users file \"{shown}\" can be read or written by everybody on this machine");
            complaints.push(noticed(message).warning().hint(format!("chmod 640 {shown}")));
        }
        Some(users)
    }
}

/// The file that counts for a server, if one does: what stands nearer wins, be it this or `auth_http`.
pub(super) fn named<'a>(block: &'a Block, mail: &'a Scope) -> Option<&'a Named> {
    match block.seen.has("auth_http") {
        true => None,
        false => effective(block.scope.auth_users.as_ref(), mail.auth_users.as_ref()),
    }
}

/// What a session takes for the auth server.
pub(super) fn server(users: &Users) -> AuthServer {
    AuthServer::new(Target::Address(Address::Unix(users.path().into())), "localhost")
}

/// Drops what a users file has no use for, though it be inherited.
pub(super) fn leave_out_what_only_servers_hear(auth: &mut AuthServer) {
    auth.headers.clear();
    auth.pass_client_cert = false;
    auth.keepalive = 0;
}

/// Complains of what a users file cannot keep.
pub(super) fn check(
    users: &Users,
    file: &Named,
    (block, protocol): (&Block, Protocol),
    has_pass: bool,
    mail: &Scope,
    complaints: &mut Complaints,
) {
    let shown = users.path();
    let methods = effective(block.scope.methods.get(&protocol), mail.methods.get(&protocol));
    for (mechanism, word, said) in methods.into_iter().flat_map(super::methods::Methods::beyond_passwords) {
        let mark = Mark { line: said.end.line, step: block.mark.step };
        let complaint = |message: String| Complaint::at(mark, message).under(said.words);
        match (mechanism, users.first_hashed()) {
            (Mechanism::CramMd5 | Mechanism::Apop, None) => {}
            (Mechanism::CramMd5 | Mechanism::Apop, Some((line, name))) => {
                let message = format!(
                    "\"{word}\" requires {{PLAIN}} passwords, of user \"{name}\" there is only a hash"
                );
                let complaint = complaint(message).label("a hash does not tell whether a digest is right");
                complaints.push(complaint.hint(format!("{name} is in {shown}:{line}")));
            }
            _ => {
                let complaint = complaint(format!("\"{word}\" requires \"auth_http\""));
                complaints.push(complaint.label("a users file has nothing but passwords"));
            }
        }
    }
    if !has_pass {
        if methods.is_some_and(|methods| methods.none.is_some()) && protocol == Protocol::Smtp {
            let message = "\"smtp_auth none\" requires \"proxy_pass\" with \"auth_users\"".to_owned();
            complaints
                .push(noticed(file, block, message).hint("nobody is logged in, so no user has a backend"));
        }
        if let Some((line, name)) = users.first_homeless() {
            let message = format!("no backend for user \"{name}\"");
            let complaint = noticed(file, block, message).in_file(&file.path, line);
            complaints.push(complaint.hint("add it behind another colon, or set \"proxy_pass\" for all"));
        }
    }
    warn_of_no_use(&block.seen, file, block, complaints);
}

/// Warns of what all of a `mail {}` says about auth servers where no server has one.
pub(super) fn check_inherited(mail: &Scope, mail_seen: &Seen, blocks: &[Block], complaints: &mut Complaints) {
    let files: Option<Vec<_>> =
        blocks.iter().map(|block| named(block, mail).map(|file| (file, block))).collect();
    if let Some(&(file, block)) = files.as_ref().and_then(|files| files.first()) {
        warn_of_no_use(mail_seen, file, block, complaints);
    }
}

/// Warns of what was `seen` that a users file does not heed.
fn warn_of_no_use(seen: &Seen, file: &Named, block: &Block, complaints: &mut Complaints) {
    let about = |name: &&&str| name.starts_with(ABOUT_AUTH_SERVERS) && **name != HEEDED;
    for name in seen.names().iter().filter(about) {
        let message = format!("\"{name}\" has no effect with \"auth_users\"");
        complaints.push(noticed(file, block, message).warning());
    }
}

/// All of it is noticed when the whole of `mail {}` has been read.
fn noticed(file: &Named, block: &Block, message: String) -> Complaint {
    let mark = Mark { line: file.said.end.line, step: block.mark.step };
    Complaint::at(mark, message).under(file.said.words)
}
