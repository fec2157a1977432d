//! The pieces of the second document in one file: IMAP under TLS, IMAP behind a balancer that says who the client is, and SMTP for
//! some networks only.

use std::net::Ipv4Addr;

use super::*;

const FILE: &str = "reference-2-pieces.conf";

/// What the file's second server has not got: the document shows it apart from the one that has.
const WARNING: &str = "no \"ssl_certificate\" is defined for the \"starttls\" directive, using ";

/// The file at work, with what stands behind it.
struct Scene {
    imap: MailServer,
    smtp: MailServer,
    auth: AuthServer,
    fitted: Fitted,
}

impl Scene {
    fn new() -> Self {
        let [imap, smtp] = ["imap", "smtp"].map(|protocol| MailServer::start(protocol, "at home").unwrap());
        let (to_imap, to_smtp) = (imap.address, smtp.address);
        let auth = AuthServer::start(move |request| {
            match (request.header("Auth-Pass"), request.header("Auth-Protocol")) {
                (Some("hunter2"), Some("imap")) => Answer::Granted(to_imap),
                (Some("hunter2"), Some("smtp")) => Answer::Granted(to_smtp),
                _ => Answer::Refused("Who?"),
            }
        })
        .unwrap();
        let fitted = Fitted::new(FILE, auth.address);
        Self { imap, smtp, auth, fitted }
    }

    fn door(&self, at: usize) -> &Door {
        self.fitted.doors.get(at).unwrap()
    }
}

/// A client that comes from this address of the loopback network.
fn from(source: Ipv4Addr, door: &Door) -> Talk {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        socket.connect(door.address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    Talk::over(stream)
}

/// Everything that is said until the other side ends.
fn rest(mut talk: Talk) -> String {
    let mut heard = String::new();
    talk.stream.read_to_string(&mut heard).unwrap();
    heard
}

#[test]
fn the_pieces_serve_imap_under_tls_and_behind_a_balancer() {
    let scene = Scene::new();
    let fitted = &scene.fitted;
    let told = String::from_utf8(fitted.tested().stderr).unwrap();
    let warnings: Vec<_> = told.lines().filter(|line| line.contains("[warn]")).collect();
    let [warning] = warnings.as_slice() else { panic!("{told}") };
    let whose = format!("{WARNING}\"{}\"", fitted.certificate.certificate.display());
    assert!(warning.contains(&whose) && warning.ends_with("nginx.conf:26"), "{warning}");

    let gatepost = fitted.start();
    let [imaps, behind, _] = [0, 1, 2].map(|at| scene.door(at));
    let at_home = fitted.client(imaps).greeted("imap").logged_in("imap");
    assert!(at_home.ends_with("at home"), "{at_home}\n{}", gatepost.output());

    // Who does not say whom it speaks for is not heard; nor is a password in the clear.
    let mut bare = fitted.client(behind);
    bare.stream.write_all(b"a LOGIN fred hunter2\r\n").unwrap();
    assert_eq!(rest(bare), "");
    let header = "PROXY TCP4 192.0.2.7 127.0.0.1 4711 143\r\n";
    let introduced = || {
        let mut talk = fitted.client(behind);
        talk.stream.write_all(header.as_bytes()).unwrap();
        talk.greeted("imap")
    };
    introduced().ask("a LOGIN fred hunter2", "a NO [PRIVACYREQUIRED]");
    let at_home = introduced().upgraded("imap", &fitted.certificate).logged_in("imap");
    assert!(at_home.ends_with("at home"), "{at_home}\n{}", gatepost.output());
    let heard = scene.auth.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard.iter().all(|heard| heard.text().starts_with("GET /validate HTTP/1.0\r\n")));
    assert!(scene.imap.heard().contains(&"fred {7}".to_owned()), "{:?}", scene.imap.heard());
}

#[test]
fn the_pieces_serve_smtp_to_the_networks_that_are_allowed() {
    let scene = Scene::new();
    let smtp = scene.door(2);
    {
        let _gatepost = scene.fitted.start();
        // As printed nobody of this machine is let in.
        assert_eq!(rest(scene.fitted.client(smtp)), "554 5.7.1 Access denied\r\n");
    }
    // A network of the loopback's in place of one of the file's, in which a client can be.
    let scratch = &scene.fitted.scratch;
    let text = fs::read_to_string(scratch.join("nginx.conf")).unwrap();
    assert!(text.contains("allow 10.0.0.0/8;"), "{text}");
    scratch.write("nginx.conf", text.replace("allow 10.0.0.0/8;", "allow 127.10.0.0/16;")).unwrap();
    let gatepost = scene.fitted.start();
    for (source, admitted) in [([127, 10, 0, 1], true), ([127, 11, 0, 1], false), ([127, 0, 0, 1], false)] {
        let talk = from(source.into(), smtp);
        if !admitted {
            assert_eq!(rest(talk), "554 5.7.1 Access denied\r\n", "{source:?}");
            continue;
        }
        let at_home = talk.greeted("smtp").logged_in("smtp");
        assert!(at_home.ends_with("at home"), "{at_home}\n{}", gatepost.output());
    }
    assert_eq!(scene.auth.heard().len(), 1);
    // `xclient off`, and a client that said HELO to us.
    let heard = scene.smtp.heard();
    let verbs: Vec<_> = heard.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(verbs, ["EHLO", "NOOP"], "{heard:?}");
}
