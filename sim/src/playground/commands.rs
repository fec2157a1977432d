//! What to type to try it by hand.

use std::fmt::Write as _;
use std::path::Path;

use gatepost_core::Protocol;

use super::doors::Door;
use super::stage::USERS;
use crate::cast::PASSWORD;

/// A heading and commands for each door, for a shell, each on a line of its own; they trust `certificate`.
pub(super) fn text(doors: &[Door], certificate: &Path) -> String {
    let mut text = String::new();
    let certificate = certificate.display();
    let [john, jane] = USERS;
    let curl = format!("curl --silent --show-error --cacert '{certificate}' --user '{john}:{PASSWORD}'");
    for Door { protocol, clear, tls } in doors {
        let name = protocol.name();
        let urls = [(format!("{name}s://{tls}"), ""), (format!("{name}://{clear}"), " --ssl-reqd")];
        // A write to a String cannot fail.
        let _ = writeln!(text, "\n  {}, by TLS at {tls} or STARTTLS at {clear}:\n", name.to_uppercase());
        for (url, starttls) in urls {
            let _ = match protocol {
                Protocol::Imap => writeln!(
                    text,
                    "    {curl}{starttls} '{url}/'\n    {curl}{starttls} '{url}/INBOX;MAILINDEX=1'"
                ),
                Protocol::Pop3 => {
                    writeln!(text, "    {curl}{starttls} '{url}/'\n    {curl}{starttls} '{url}/1'")
                }
                Protocol::Smtp => writeln!(
                    text,
                    "    printf 'Subject: Hello\\r\\n\\r\\nFrom John.\\r\\n' | {curl}{starttls} --mail-from '{john}' \
                     --mail-rcpt '{jane}' --upload-file - '{url}'"
                ),
            };
        }
        let s_client = format!("openssl s_client -quiet -crlf -CAfile '{certificate}' -verify_return_error");
        let _ =
            writeln!(text, "    {s_client} -connect {tls}\n    {s_client} -connect {clear} -starttls {name}");
    }
    let _ = writeln!(
        text,
        "\n  In openssl, log in with one of\n\n    a LOGIN {john} {PASSWORD}\n    USER {john}, then PASS {PASSWORD}\n    \
         EHLO me, then AUTH PLAIN {}\n",
        plain(john)
    );
    text
}

fn plain(login: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("\0{login}\0{PASSWORD}"))
}
