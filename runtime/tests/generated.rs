//! The manual page and the shells' completions in `packaging`, made of the one definition of the options.
//!
//! `GATEPOST_WRITE=1 cargo test -p gatepost --test generated` writes them; without it a test tells which are out of date.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use gatepost::cli;

#[test]
fn the_manual_page_and_the_completions_are_up_to_date() {
    let writes = std::env::var_os("GATEPOST_WRITE").is_some();
    let mut stale = Vec::new();
    for (path, octets) in files() {
        if writes {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &octets).unwrap();
        }
        if fs::read(&path).ok() != Some(octets) {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "write them anew with GATEPOST_WRITE=1: {stale:?}");
}

#[test]
fn the_manual_page_tells_every_option_and_signal() {
    let page = String::from_utf8(manual_page()).unwrap();
    for option in cli::definition().get_arguments() {
        let letter = option.get_short().unwrap();
        assert!(page.contains(&format!(r"\-{letter}")), "-{letter}");
    }
    for signal in ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH"] {
        assert!(page.contains(signal), "{signal}");
    }
}

/// Every file that is made, and what is to be in it.
fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let completion = |shell, name: &str| {
        let mut octets = Vec::new();
        generate(shell, &mut cli::definition(), "gatepost", &mut octets);
        (folder.join("completions").join(name), octets)
    };
    vec![
        (folder.join("man/gatepost.8"), manual_page()),
        completion(Shell::Bash, "gatepost.bash"),
        completion(Shell::Zsh, "_gatepost"),
        completion(Shell::Fish, "gatepost.fish"),
    ]
}

fn manual_page() -> Vec<u8> {
    let man = Man::new(cli::definition()).title("gatepost").section("8").manual("System administration");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    description().to_writer(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    rest().to_writer(&mut page).unwrap();
    page
}

fn description() -> Roff {
    let mut page = Roff::new();
    section(&mut page, "DESCRIPTION");
    paragraph(
        &mut page,
        "gatepost takes a mail client's login over IMAP, POP3 or SMTP, asks an auth server over HTTP who that is and where \
         the mailbox lives, logs in there on the client's behalf, and then carries octets both ways. It reads the \
         mail {} block of an nginx.conf and behaves as nginx does, to clients, auth server and backends.",
    );
    paragraph(
        &mut page,
        "Short options may be combined, and a value may stand behind its option with or without a space: -tc FILE, \
         -tcFILE. Of an option that is given more than once the last one counts. Started under the name nginx, the process \
         calls itself nginx.",
    );
    page
}

fn rest() -> Roff {
    let mut page = Roff::new();
    section(&mut page, "SIGNALS");
    paragraph(
        &mut page,
        "Some have a word for -s, which sends them to the process whose number is in the pid file.",
    );
    for (signal, what) in [
        ("TERM, INT (stop)", "Says goodbye to every session and ends."),
        ("QUIT (quit)", "Accepts nobody any more and ends when every session has ended."),
        (
            "HUP (reload)",
            "Reads the configuration and what it names anew. A faulty one is refused in the log, and the old one goes on. Sessions \
             end with the configuration they began with.",
        ),
        ("USR1 (reopen)", "Opens the logs anew, after they were renamed."),
        (
            "USR2",
            "Starts the binary that is now in the place of this one, with the same listeners; the pid file of this \
             process gets .oldbin behind its name.",
        ),
        ("WINCH", "Sent to the old process then: accepts nobody any more, and can be called back by HUP."),
    ] {
        entry(&mut page, &bold(signal), what);
    }
    section(&mut page, "FILES");
    for (file, what) in [
        (
            "/etc/nginx/nginx.conf",
            "The configuration, if -c and -p do not say otherwise. http {} and stream {} are left alone.",
        ),
        (
            "/run/gatepost.pid",
            "The number of the process, if it is in the background and the directive pid does not say otherwise.",
        ),
    ] {
        entry(&mut page, &italic(file), what);
    }
    section(&mut page, "EXIT STATUS");
    for (status, what) in [
        ("0", "The process ended because it was told to; the test succeeded; the signal was sent."),
        (
            "1",
            "The options or the configuration are faulty, something could not be opened, or nobody could be \
             signalled. Standard error says what, and where.",
        ),
    ] {
        entry(&mut page, &bold(status), what);
    }
    section(&mut page, "EXAMPLES");
    for (line, what) in [
        (
            "gatepost -t",
            "Tells everything that is wrong with /etc/nginx/nginx.conf, each with its line and what to write instead.",
        ),
        (
            "gatepost -T -q > all.conf",
            "Prints the configuration with every file that it includes, for a bug report.",
        ),
        (
            "gatepost -p . -c mail.conf -g 'daemon off; error_log stderr info;'",
            "Serves mail.conf of this folder in the foreground, and shows what happens.",
        ),
        (
            "gatepost -t && gatepost -s reload",
            "Takes up a changed configuration, once it is known to be good.",
        ),
        ("mv error.log error.log.1 && gatepost -s reopen", "Rotates a log."),
    ] {
        entry(&mut page, &bold(line), what);
    }
    section(&mut page, "SEE ALSO");
    paragraph(
        &mut page,
        "https://nginx.org/en/docs/mail/ngx_mail_core_module.html and its neighbours describe the configuration; the \
         README of gatepost tells what is different.",
    );
    page
}

fn section(page: &mut Roff, name: &str) {
    page.control("SH", [name]);
}

fn paragraph(page: &mut Roff, text: &str) {
    page.control("PP", []);
    page.text([roman(text)]);
}

/// A term and, indented below it, what it is.
fn entry(page: &mut Roff, term: &Inline, what: &str) {
    page.control("TP", []);
    page.text([term.clone()]);
    page.text([roman(what)]);
}
