//! Connections to auth servers that serve more than one session.

use gatepost_core::AuthUrl;

use super::auth_tls::{Trust, https, request};
use super::*;

const OTHER: &str = "192.0.2.5:80";

/// The sessions of one thread, and the connections they leave each other.
struct House {
    net: TestNet,
    pool: Pool<DuplexStream>,
    urls: Vec<AuthUrl>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl House {
    /// Where at most so many connections wait.
    fn keeping(most: usize) -> Self {
        let house = Self::neglecting(most);
        spawn_local(house.pool.clone().tend());
        house
    }

    /// The same where nobody looks after them.
    fn neglecting(most: usize) -> Self {
        let pool = Pool::new(most);
        let urls = vec![AuthUrl::new(Target::Address(inet(AUTH)), "auth.example")];
        Self { net: TestNet::new(4096), pool, urls, tls: None }
    }

    /// A session of `login`, which has just given a password.
    async fn asks(&self, login: &str) -> Scene {
        let mut policy = policy(Protocol::Imap);
        policy.auth = Some(AuthServer { keepalive: 4, ..AuthServer::at(self.urls.clone()) });
        let mut scene = Scene::begin_as(&self.net, policy, |arrival| {
            (arrival.auth_pool, arrival.auth_tls) = (Some(self.pool.clone()), self.tls.clone());
        });
        hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
        scene.client.write_all(format!("a LOGIN {login} hunter2\r\n").as_bytes()).await.expect("said");
        scene
    }

    /// Lets those who look after the connections that wait do so.
    async fn rests(&self) {
        sleep(Duration::from_millis(1)).await;
    }
}

/// What a session asks, which is about `login` and nobody else.
async fn asked<S: AsyncRead + Unpin>(stream: &mut S, login: &str) {
    let request = request(stream).await;
    let start = "GET / HTTP/1.1\r\nHost: auth.example\r\nConnection: keep-alive\r\nAuth-Method: plain\r\n";
    assert!(request.starts_with(start), "{request}");
    assert!(request.contains(&format!("Auth-User: {login}\r\n")), "{request}");
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, words: &str) {
    stream.write_all(words.as_bytes()).await.expect("said");
    stream.flush().await.expect("said");
}

/// A refusal with this text, `more` headers and a body.
fn refusal(text: &str, more: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nAuth-Status: {text}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len())
}

async fn is_refused(scene: &mut Scene, text: &str) {
    hear(&mut scene.client, &format!("a NO [AUTHENTICATIONFAILED] {text}\r\n")).await;
}

#[test]
fn one_connection_serves_one_session_after_another() {
    tell(async {
        let house = House::keeping(4);
        let mut visitors = house.net.listen(AUTH);
        let mut first = house.asks("joe").await;
        let mut auth = visitors.recv().await.expect("a visitor");
        for (at, login) in ["joe", "fred", "jane", "john"].into_iter().enumerate() {
            let mut scene = if at == 0 { None } else { Some(house.asks(login).await) };
            let scene = scene.as_mut().unwrap_or(&mut first);
            asked(&mut auth, login).await;
            let answer = match at % 2 {
                0 => refusal(login, "", "HTTP/1.1 200 OK\r\nAuth-Status: OK\r\n\r\n"),
                _ => format!(
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\nAuth-Status: {login}\r\n\
                     Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                ),
            };
            say(&mut auth, &answer).await;
            is_refused(scene, login).await;
            house.rests().await;
            assert_eq!(house.pool.len(), 1);
        }
        assert!(visitors.try_recv().is_err(), "nobody else came");
    });
}

#[test]
fn an_answer_counts_at_once_and_its_connection_once_the_rest_has_come() {
    tell(async {
        let house = House::keeping(4);
        let mut visitors = house.net.listen(AUTH);
        let mut one = house.asks("joe").await;
        let mut auth = visitors.recv().await.expect("a visitor");
        asked(&mut auth, "joe").await;
        let answer = refusal("no", "", "body");
        let (now, later) = answer.split_at(answer.len() - 2);
        say(&mut auth, now).await;
        is_refused(&mut one, "no").await;
        // The next one has another connection: this one is not done.
        let mut two = house.asks("fred").await;
        let mut other = visitors.recv().await.expect("a visitor");
        asked(&mut other, "fred").await;
        say(&mut auth, later).await;
        house.rests().await;
        let mut three = house.asks("jane").await;
        asked(&mut auth, "jane").await;
        say(&mut auth, &refusal("jane", "", "")).await;
        is_refused(&mut three, "jane").await;
        say(&mut other, &refusal("fred", "", "")).await;
        is_refused(&mut two, "fred").await;
        house.rests().await;
        assert_eq!(house.pool.len(), 2);
    });
}

#[test]
fn a_connection_that_ended_before_the_answer_began_is_replaced_once_and_nobody_is_blamed() {
    tell(async {
        let house = House::keeping(4);
        let mut visitors = house.net.listen(AUTH);
        let mut scene = house.asks("joe").await;
        let mut auth = visitors.recv().await.expect("a visitor");
        asked(&mut auth, "joe").await;
        say(&mut auth, &refusal("no", "", "")).await;
        is_refused(&mut scene, "no").await;
        house.rests().await;

        // The server hangs up as the question arrives.
        let mut scene = house.asks("fred").await;
        asked(&mut auth, "fred").await;
        drop(auth);
        let mut auth = visitors.recv().await.expect("the same server again");
        asked(&mut auth, "fred").await;
        // And again, which is its fault.
        drop(auth);
        assert!(hear_out(&mut scene.client).await.starts_with("a NO [UNAVAILABLE]"));
        let log = scene.ended().await;
        let blame = |line: &&String| line.contains("192.0.2.1:80 prematurely closed connection");
        assert_eq!(log.iter().filter(blame).count(), 1, "{log:?}");
        assert!(visitors.try_recv().is_err(), "nobody comes a third time");
    });
}

#[test]
fn nobody_asks_again_behind_the_beginning_of_an_answer() {
    tell(async {
        let house = House::keeping(4);
        let mut visitors = house.net.listen(AUTH);
        let mut scene = house.asks("joe").await;
        let mut auth = visitors.recv().await.expect("a visitor");
        asked(&mut auth, "joe").await;
        say(&mut auth, &refusal("no", "", "")).await;
        is_refused(&mut scene, "no").await;
        house.rests().await;
        let mut scene = house.asks("fred").await;
        asked(&mut auth, "fred").await;
        say(&mut auth, "H").await;
        house.rests().await;
        drop(auth);
        assert!(hear_out(&mut scene.client).await.starts_with("a NO [UNAVAILABLE]"));
        assert!(visitors.try_recv().is_err(), "nobody comes again");
    });
}

#[test]
fn whatever_leaves_a_doubt_is_not_kept() {
    let no = |more: &str, body: &str| refusal("no", more, body);
    let length = |said: usize, body: &str| {
        format!("HTTP/1.1 200 OK\r\nAuth-Status: no\r\nContent-Length: {said}\r\n\r\n{body}")
    };
    for answer in [
        "HTTP/1.1 200 OK\r\nAuth-Status: no\r\n\r\n".to_owned(),
        "HTTP/1.0 200 OK\r\nAuth-Status: no\r\nContent-Length: 0\r\n\r\n".to_owned(),
        no("Connection: close\r\n", ""),
        no("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        no("Content-Length: 0\r\n", ""),
        // Another answer behind the first, at once.
        format!("{}{}", no("", ""), refusal("OK", "Auth-Server: 192.0.2.66\r\nAuth-Port: 1\r\n", "")),
        length(4, "bodyH"),
        length(70_000, ""),
    ] {
        tell(async {
            let house = House::keeping(4);
            let mut visitors = house.net.listen(AUTH);
            let mut scene = house.asks("joe").await;
            let mut auth = visitors.recv().await.expect("a visitor");
            asked(&mut auth, "joe").await;
            say(&mut auth, &answer).await;
            is_refused(&mut scene, "no").await;
            house.rests().await;
            assert_eq!(house.pool.len(), 0, "{answer}");
            assert_eq!(hear_out(&mut auth).await, "", "{answer}");
        });
    }
}

#[test]
fn a_connection_on_which_something_happens_while_nobody_asks_is_let_go() {
    let second = refusal("OK", "Auth-Server: 192.0.2.66\r\nAuth-Port: 1\r\n", "");
    for late in [Some(second.as_str()), Some("H"), None] {
        // By those who look after it, or by the next one who would use it.
        for house in [House::keeping, House::neglecting] {
            tell(async {
                let house = house(4);
                let mut visitors = house.net.listen(AUTH);
                let mut scene = house.asks("joe").await;
                let mut auth = visitors.recv().await.expect("a visitor");
                asked(&mut auth, "joe").await;
                say(&mut auth, &refusal("no", "", "")).await;
                is_refused(&mut scene, "no").await;
                house.rests().await;
                assert_eq!(house.pool.len(), 1);
                match late {
                    Some(late) => say(&mut auth, late).await,
                    None => auth.shutdown().await.expect("said"),
                }
                house.rests().await;
                let mut scene = house.asks("fred").await;
                let mut other = visitors.recv().await.expect("a visitor");
                asked(&mut other, "fred").await;
                say(&mut other, &refusal("fred", "", "")).await;
                is_refused(&mut scene, "fred").await;
                assert_eq!(hear_out(&mut auth).await, "");
            });
        }
    }
}

#[test]
fn a_client_that_leaves_takes_the_connection_with_it() {
    tell(async {
        let house = House::keeping(4);
        let mut visitors = house.net.listen(AUTH);
        let scene = house.asks("joe").await;
        let mut auth = visitors.recv().await.expect("a visitor");
        asked(&mut auth, "joe").await;
        scene.drain.ask();
        assert_eq!(hear_out(&mut auth).await, "");
        scene.ended().await;
        assert_eq!(house.pool.len(), 0);
    });
}

#[test]
fn no_more_wait_than_were_allowed_and_none_for_longer_than_a_minute() {
    tell(async {
        let house = House::keeping(2);
        let mut visitors = house.net.listen(AUTH);
        let mut scenes = Vec::new();
        let mut servers = Vec::new();
        for login in ["a", "b", "c"] {
            scenes.push(house.asks(login).await);
            servers.push(visitors.recv().await.expect("a visitor"));
            asked(servers.last_mut().expect("a server"), login).await;
        }
        for (scene, auth) in scenes.iter_mut().zip(&mut servers) {
            say(auth, &refusal("no", "", "")).await;
            is_refused(scene, "no").await;
        }
        house.rests().await;
        assert_eq!(house.pool.len(), 2);
        // The one that would have waited longest made room.
        assert_eq!(hear_out(&mut servers[0]).await, "");
        sleep(Duration::from_millis(59_900)).await;
        assert_eq!(house.pool.len(), 2);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(house.pool.len(), 0);
        assert_eq!(hear_out(&mut servers[2]).await, "");
    });
}

#[test]
fn the_rest_of_an_answer_is_not_waited_for_for_long() {
    tell(async {
        let house = House::keeping(2);
        let mut visitors = house.net.listen(AUTH);
        let mut scene = house.asks("joe").await;
        let mut auth = visitors.recv().await.expect("a visitor");
        asked(&mut auth, "joe").await;
        say(&mut auth, "HTTP/1.1 200 OK\r\nAuth-Status: no\r\nContent-Length: 4\r\n\r\nbod").await;
        is_refused(&mut scene, "no").await;
        sleep(Duration::from_millis(4900)).await;
        assert_eq!(house.pool.len(), 1);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(house.pool.len(), 0);
    });
}

#[test]
fn a_pool_that_is_closed_keeps_nothing() {
    tell(async {
        let house = House::keeping(4);
        let mut visitors = house.net.listen(AUTH);
        let (mut one, mut two) = (house.asks("joe").await, house.asks("fred").await);
        let mut first = visitors.recv().await.expect("a visitor");
        let mut second = visitors.recv().await.expect("a visitor");
        say(&mut first, &refusal("no", "", "")).await;
        is_refused(&mut one, "no").await;
        house.rests().await;
        assert_eq!(house.pool.len(), 1);
        house.pool.close();
        asked(&mut first, "joe").await;
        assert_eq!(hear_out(&mut first).await, "");
        say(&mut second, &refusal("no", "", "")).await;
        is_refused(&mut two, "no").await;
        house.rests().await;
        assert_eq!(house.pool.len(), 0);
    });
}

#[test]
fn connections_are_for_their_own_server_only() {
    tell(async {
        let mut house = House::keeping(4);
        let (mut first, mut second) = (house.net.listen(AUTH), house.net.listen(OTHER));
        let mut scene = house.asks("joe").await;
        let mut auth = first.recv().await.expect("a visitor");
        asked(&mut auth, "joe").await;
        say(&mut auth, &refusal("no", "", "")).await;
        is_refused(&mut scene, "no").await;
        house.rests().await;
        house.urls = vec![AuthUrl::new(Target::Address(inet(OTHER)), "auth.example")];
        let mut scene = house.asks("fred").await;
        let mut other = second.recv().await.expect("a visitor");
        asked(&mut other, "fred").await;
        say(&mut other, &refusal("no", "", "")).await;
        is_refused(&mut scene, "no").await;
        // The same server, but as one whose certificate is for another name.
        let trust = Trust::in_one_for(NAME);
        house.tls = Some(trust.config.clone());
        house.urls = vec![https(Some(NAME), AUTH)];
        let mut scene = house.asks("jane").await;
        let visitor = first.recv().await.expect("a visitor");
        let mut secure = trust.acceptor.accept(visitor).await.expect("TLS");
        asked(&mut secure, "jane").await;
        say(&mut secure, &refusal("no", "", "")).await;
        is_refused(&mut scene, "no").await;
        house.rests().await;
        let mut scene = house.asks("john").await;
        asked(&mut secure, "john").await;
        say(&mut secure, &refusal("john", "", "")).await;
        is_refused(&mut scene, "john").await;
        house.urls = vec![https(Some("other.example"), AUTH)];
        let mut scene = house.asks("jim").await;
        let visitor = first.recv().await.expect("a visitor");
        trust.acceptor.accept(visitor).await.expect_err("no TLS");
        assert!(hear_out(&mut scene.client).await.starts_with("a NO [UNAVAILABLE]"));
    });
}
