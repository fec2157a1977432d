//! The auth server: cheap, and right. Everybody's password is `hunter2`.

use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::Outcome;
use crate::backend::PASSWORD;
use crate::job::Ports;
use crate::role;
use crate::wire::Talk;

pub(crate) fn run() -> Outcome<()> {
    role::on_one_thread(async {
        let backends: Ports = role::instructions()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        role::report(&Ports { ports: [listener.local_addr()?.port(), 0, 0] })?;
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                spawn_local(async move {
                    let served = serve(stream, backends).await;
                    role::complain("auth server", served);
                });
            }
        });
        role::until_told_to_end().await
    })
}

async fn serve(stream: TcpStream, backends: Ports) -> Outcome<()> {
    stream.set_nodelay(true)?;
    let mut talk = Talk::new(stream);
    while let Some(request) = talk.line().await? {
        let kept = request.ends_with("HTTP/1.1");
        let [mut protocol, mut method, mut password] = [const { String::new() }; 3];
        loop {
            let line = talk.line().await?.ok_or("the proxy left within its request")?;
            match line.split_once(": ") {
                Some(("Auth-Protocol", value)) => value.clone_into(&mut protocol),
                Some(("Auth-Method", value)) => value.clone_into(&mut method),
                Some(("Auth-Pass", value)) => value.clone_into(&mut password),
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let [imap, pop3, smtp] = backends.ports;
        let port = match protocol.as_str() {
            "imap" => imap,
            "pop3" => pop3,
            "smtp" => smtp,
            other => return Err(format!("a protocol called {other:?}").into()),
        };
        let version = if kept { "1.1" } else { "1.0" };
        let answer = match method == "none" || password == PASSWORD {
            true => format!("Auth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: {port}\r\n"),
            false => "Auth-Status: Invalid login or password\r\n".to_owned(),
        };
        talk.say(format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{answer}\r\n")).await?;
        if !kept {
            break;
        }
    }
    Ok(())
}
