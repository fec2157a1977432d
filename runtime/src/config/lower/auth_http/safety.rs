//! What is amiss with the URLs of `auth_http` that only shows beside each other, or once every group is known.

use gatepost_core::{Address, AuthServer, Place, Scheme, Target};
use rustls::pki_types::ServerName;

use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lower::scope::{Said, Scope};
use crate::config::lower::server::{Block, effective};
use crate::config::lower::upstream::Groups;
use crate::config::tree::Mark;
use crate::upstream::UNDER_TLS;

/// Complains of URLs under TLS whose server can have no certificate that would do, and warns of those in clear beside them: passwords
/// would go there when somebody breaks a handshake. `auth` is what counts for the server `block`.
pub(in crate::config::lower) fn check(
    auth: Option<&AuthServer>,
    block: &Block,
    mail: &Scope,
    groups: &Groups,
    complaints: &mut Complaints,
) {
    let said = match block.scope.auth_http {
        Some(_) => &block.scope.auth_http_said,
        None => &mail.auth_http_said,
    };
    let urls: Vec<_> = auth.iter().flat_map(|auth| &auth.urls).zip(said).collect();
    let is_secure = |scheme: &Scheme| *scheme != Scheme::Http;
    let named =
        effective(block.scope.auth_http_ssl.name.as_ref(), mail.auth_http_ssl.name.as_ref()).is_some();
    for (url, said) in urls.iter().filter(|(url, _)| is_secure(&url.scheme) && !named) {
        let name = match &url.scheme {
            Scheme::Https { name } => name.as_deref(),
            Scheme::Http => None,
        };
        let nameless = servers(&url.target, groups).into_iter().filter_map(|(own, address)| {
            match (name.or(own), address) {
                (Some(name), _) => ServerName::try_from(name).is_err().then(|| name.to_owned()),
                (None, Some(Address::Unix(path))) => Some(format!("unix:{path}")),
                (None, _) => None,
            }
        });
        for nameless in nameless {
            let mark = Mark { line: said.end.line, step: block.mark.step };
            let message = format!("no certificate could be for \"{nameless}\" in \"auth_http\"");
            let complaint = Complaint::at(mark, message).under(said.words);
            complaints.push(complaint.hint("say by `auth_http_ssl_name` whom it should be for"));
        }
    }
    if urls.iter().any(|(url, _)| is_secure(&url.scheme)) {
        let is_far = |target: &Target| {
            let mut servers = servers(target, groups).into_iter();
            !servers.all(|(_, address)| address.is_some_and(is_on_this_machine))
        };
        let in_clear = urls.iter().filter(|(url, _)| !is_secure(&url.scheme) && is_far(&url.target));
        for (url, said) in in_clear {
            complaints.push(warning(&url.host, **said));
        }
    }
}

fn warning(host: &str, said: Said) -> Complaint {
    let message = format!("passwords go to \"{host}\" in clear where a server under \"{UNDER_TLS}\" fails");
    let complaint = Complaint::at(said.end, message).under(said.words).warning();
    complaint.hint(format!("whoever can break a handshake can read them: say `{UNDER_TLS}` here too"))
}

/// Whom a target leads to: a name of the server's own, and its address unless the DNS will say.
fn servers<'a>(target: &'a Target, groups: &'a Groups) -> Vec<(Option<&'a str>, Option<&'a Address>)> {
    match target {
        Target::Address(address) => vec![(None, Some(address))],
        Target::AnyOf(places) => places
            .iter()
            .map(|place| match place {
                Place::At(address) => (None, Some(address)),
                Place::Named(name, _) => (Some(&**name), None),
            })
            .collect(),
        Target::Group(group) => {
            let name = group.name.strip_prefix(UNDER_TLS).unwrap_or(&group.name);
            groups.get(name).map(|group| group.servers().collect()).unwrap_or_default()
        }
    }
}

/// Whether what is sent there is seen by nobody else.
fn is_on_this_machine(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Inet(address) => address.ip().to_canonical().is_loopback(),
    }
}
