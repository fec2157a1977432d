//! A recorded session as the text of its file.

use std::fmt::Write as _;

use crate::octets::{Octets, Quoted};
use crate::transcript::{
    AuthSays, ClientCertificate, Part, Protocol, Recorded, Step, Tls, TlsResult, TlsTry, Transcript,
};

/// The file of `session`.
///
/// # Errors
///
/// If there is something in it that is not recorded: a step that no recorder makes.
pub fn text(session: &Transcript) -> Result<String, String> {
    let recorded = session.recorded.as_ref().ok_or("it does not say where it comes from")?;
    let mut text = format!("(\n    id: {},\n    title: {},\n", quoted(&session.id), quoted(&session.title));
    let _ = writeln!(text, "    rows: {},\n    tags: {},", list(&session.rows), list(&session.tags));
    text.push_str(&origin(recorded));
    text.push_str(&config(session));
    text.push_str("    runners: [Core, Binary],\n    script: [\n");
    for step in &session.script {
        let _ = writeln!(text, "        {},", written(step)?);
    }
    text.push_str("    ],\n)\n");
    Ok(text)
}

fn origin(recorded: &Recorded) -> String {
    let Recorded { client, version, origin, server, day, command, files, input, code, auth_wait, terminal } =
        recorded;
    let mut text = String::from("    recorded: Some((\n");
    let named =
        [("client", client), ("version", version), ("origin", origin), ("server", server), ("day", day)];
    for (name, value) in named.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "        {name}: {},", quoted(value));
    }
    let _ = writeln!(text, "        command: {},", list(command));
    if !files.is_empty() {
        text.push_str("        files: {\n");
        for (name, contents) in files {
            let _ = writeln!(text, "            {}: {},", quoted(name), raw(contents));
        }
        text.push_str("        },\n");
    }
    if !input.is_empty() {
        let _ = writeln!(text, "        input: {},", Quoted(input));
    }
    if *code != 0 {
        let _ = writeln!(text, "        code: {code},");
    }
    if *auth_wait != 0 {
        let _ = writeln!(text, "        auth_wait: {auth_wait},");
    }
    if *terminal {
        text.push_str("        terminal: true,\n");
    }
    text.push_str("    )),\n");
    text
}

fn config(session: &Transcript) -> String {
    let config = &session.config;
    let mut parts = vec![format!(
        "protocol: {}",
        match config.protocol {
            Protocol::Imap => "Imap",
            Protocol::Pop3 => "Pop3",
            Protocol::Smtp => "Smtp",
        }
    )];
    match config.tls {
        Tls::Off => {}
        Tls::StartTls => parts.push("tls: StartTls".to_owned()),
        Tls::Only => parts.push("tls: Only".to_owned()),
        Tls::Implicit => parts.push("tls: Implicit".to_owned()),
    }
    for (name, words) in
        [("listen", &config.listen), ("directives", &config.directives), ("upstream", &config.upstream)]
    {
        if !words.is_empty() {
            parts.push(format!("{name}: {}", list(words)));
        }
    }
    if !config.auth_http {
        parts.push("auth_http: false".to_owned());
    }
    if config.auth_urls != 1 {
        parts.push(format!("auth_urls: {}", config.auth_urls));
    }
    format!("    config: ({}),\n", parts.join(", "))
}

fn written(step: &Step) -> Result<String, String> {
    let octets = |name: &str, octets: &[u8]| Ok(format!("{name}({})", Quoted(octets)));
    match step {
        Step::Open(open) if open.from.is_none() => Ok("Open(())".to_owned()),
        Step::Client(said) => octets("Client", said),
        Step::ClientExpr(parts) => Ok(format!("ClientExpr({})", expression(parts)?)),
        Step::Sees(seen) => octets("Sees", seen),
        Step::SeesSave(save) => {
            let base64 = if save.base64 { ", base64: true" } else { "" };
            Ok(format!("SeesSave((like: {}, save: {}{base64}))", Quoted(&save.like), list(&save.save)))
        }
        Step::ClientTls(attempt) => handshake(attempt),
        Step::ClientFin => Ok("ClientFin".to_owned()),
        Step::ClientReset => Ok("ClientReset".to_owned()),
        Step::ProxyFin => Ok("ProxyFin".to_owned()),
        Step::AuthGetsExactly(request) => octets("AuthGetsExactly", request),
        Step::AuthGetsExpr(parts) => Ok(format!("AuthGetsExpr({})", expression(parts)?)),
        Step::AuthSays(says) => Ok(answer(says)),
        Step::BackendOpens => Ok("BackendOpens".to_owned()),
        Step::BackendGets(got) => octets("BackendGets", got),
        Step::BackendSays(said) => octets("BackendSays", said),
        Step::BackendFin => Ok("BackendFin".to_owned()),
        Step::BackendSeesFin => Ok("BackendSeesFin".to_owned()),
        Step::Wait(millis) => Ok(format!("Wait({millis})")),
        other => Err(format!("no recorder makes a step like {other:?}")),
    }
}

fn expression(parts: &[Part]) -> Result<String, String> {
    let part = |part: &Part| match part {
        Part::Lit(octets) => Ok(format!("Lit({})", Quoted(octets))),
        Part::B64(parts) => Ok(format!("B64({})", expression(parts)?)),
        Part::HmacMd5(key, parts) => Ok(format!("HmacMd5({}, {})", Quoted(key), expression(parts)?)),
        Part::Md5Hex(parts) => Ok(format!("Md5Hex({})", expression(parts)?)),
        Part::Var(name) => Ok(format!("Var({})", quoted(name))),
        other => Err(format!("no recorder computes {other:?}")),
    };
    let parts: Result<Vec<_>, String> = parts.iter().map(part).collect();
    Ok(format!("[{}]", parts?.join(", ")))
}

fn handshake(attempt: &TlsTry) -> Result<String, String> {
    let TlsTry { sni, alpn, certificate, resumed, begun, expect } = attempt;
    if *resumed || !begun.is_empty() {
        return Err(format!("no recorder shakes hands like {attempt:?}"));
    }
    let mut parts = Vec::new();
    if let Some(name) = sni {
        parts.push(format!("sni: Some({})", quoted(name)));
    }
    if !alpn.is_empty() {
        parts.push(format!("alpn: {}", list(alpn)));
    }
    match certificate {
        None => {}
        Some(ClientCertificate::Verified) => parts.push("certificate: Some(Verified)".to_owned()),
        Some(other) => return Err(format!("no recorder makes a certificate that is {other:?}")),
    }
    parts.push(match expect {
        TlsResult::Ok => "expect: Ok".to_owned(),
        TlsResult::OkAlpn(name) => format!("expect: OkAlpn({})", quoted(name)),
        other => return Err(format!("no recorder expects {other:?}")),
    });
    Ok(format!("ClientTls(({}))", parts.join(", ")))
}

fn answer(says: &AuthSays) -> String {
    let mut parts = Vec::new();
    if says.ok {
        parts.push("ok: true".to_owned());
    }
    if says.status != 200 {
        parts.push(format!("status: {}", says.status));
    }
    if !says.headers.is_empty() {
        let header = |(name, value): &(String, Octets)| format!("({}, {})", quoted(name), Quoted(value));
        let headers: Vec<_> = says.headers.iter().map(header).collect();
        parts.push(format!("headers: [{}]", headers.join(", ")));
    }
    format!("AuthSays(({}))", parts.join(", "))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => _ = write!(quoted, "\\u{{{:X}}}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Text of several lines stays legible, unless it holds what would end it, or a carriage return, which a reader would not see.
fn raw(text: &str) -> String {
    match text.contains("\"#") || text.contains('\r') {
        true => quoted(text),
        false => format!("r#\"{text}\"#"),
    }
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = r##"(
    id: "x",
    title: "a \"title\"",
    rows: ["CLI-018"],
    tags: ["session", "imap"],
    recorded: Some((
        client: "c",
        version: "1",
        origin: "o",
        day: "2026-11-21",
        command: ["c", "--port", "${port}"],
        files: {
            "rc": r#"a "b"
c"#,
        },
        input: "na\u{C3}\u{AF}ve\r\n",
        code: 67,
        auth_wait: 1,
        terminal: true,
    )),
    config: (protocol: Imap, tls: StartTls, directives: ["imap_auth plain"]),
    runners: [Core, Binary],
    script: [
        Open(()),
        ClientTls((sni: Some("mx.test"), alpn: ["imap"], expect: OkAlpn("imap"))),
        SeesSave((like: "+ *\r\n", save: ["challenge1"], base64: true)),
        ClientExpr([B64([Lit("fred "), HmacMd5("hunter2", [Var("challenge1")])]), Lit("\r\n")]),
        AuthGetsExpr([Md5Hex([Var("challenge1"), Lit("hunter2")])]),
        AuthGetsExactly("GET /\r\n\r\n"),
        AuthSays((ok: true, headers: [("Auth-Pass", "hunter2")])),
        Wait(1000),
        BackendOpens,
        BackendSays("+OK\r\n"),
        BackendGets("\x00\u{FF}"),
        Sees("b\r\n"),
        Client("a\r\n"),
        BackendFin,
        BackendSeesFin,
        ProxyFin,
        ClientFin,
        ClientReset,
    ],
)
"##;

    #[test]
    fn what_is_written_is_what_was_read() {
        let session: Transcript = ron::from_str(SESSION).unwrap();
        assert_eq!(text(&session).unwrap(), SESSION);
    }

    #[test]
    fn a_step_that_nobody_records_is_not_written() {
        let mut session: Transcript = ron::from_str(SESSION).unwrap();
        session.script.push(Step::Quiet(10));
        assert!(text(&session).unwrap_err().contains("Quiet(10)"));
    }
}
