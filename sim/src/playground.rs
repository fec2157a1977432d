//! Everything Gatepost needs around it, on loopback sockets, for people to try: an auth server, three backends, a
//! certificate, and the production server from a configuration as an operator would write it.

mod commands;
mod doors;
mod gatepost;
mod home;
mod show;
mod stage;

use std::error::Error;
use std::io::{self, Write as _};

use tokio::signal::unix::{SignalKind, signal};

use self::gatepost::Gatepost;
use self::home::Home;
use crate::cast::PASSWORD;
use crate::dialogue::Dialogue;

/// Starts everything, logs in once per protocol and shows what is said on each leg. Unless it is to be done but `once`, it
/// then tells what to type, stays, and shows what is said behind Gatepost, until SIGINT or SIGTERM.
///
/// # Errors
///
/// Something could not be started, or a login did not go as it should.
pub fn run(once: bool) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(play(once))
}

async fn play(once: bool) -> Result<(), Box<dyn Error>> {
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let home = Home::make()?;
    let users = stage::USERS.map(|login| (login, PASSWORD));
    let dialogue = Dialogue::new(&users, |said| print(&format!("  {said}\n")));
    let auth_server = stage::open(&dialogue).await?;
    let doors = doors::free()?;
    let configuration = doors::configuration(&doors, auth_server, &home);
    home.write("nginx.conf", &configuration)?;
    print(&format!("{}:\n\n{}\n", home.file("nginx.conf").display(), indented(&configuration)));

    let gatepost = Gatepost::start(&home.file("nginx.conf"))?;
    for door in &doors {
        print(&format!("A user logs in over {}.\n\n", door.protocol.name().to_uppercase()));
        show::log_in(door, &home, &dialogue).await?;
        print("\n");
    }
    let log = show::log(&home, doors.len()).await?;
    print(&format!("What {} says of it:\n\n{}\n", home.file("error.log").display(), indented(&log)));
    if !once {
        let commands = commands::text(&doors, &home.file("cert.pem"));
        print(&format!("Now you, from another terminal:\n{commands}Ctrl-C ends it.\n\n"));
        tokio::select! {
            biased;
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    }
    gatepost.stop()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// A reader that has gone away is no reason to fall over.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
