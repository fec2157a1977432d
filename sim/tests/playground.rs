//! The playground as a person meets it: the program, what it prints, and the commands it tells to type.

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::path::Path;
    use std::process::{Child, Command, ExitStatus, Stdio};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use rustix::process::{Pid, Signal, kill_process};

    /// How long anything here may take.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A playground; ended by its process id whatever happens.
    struct Playground(Child);

    /// How long it may take to leave once it was asked to.
    const LEAVES_MAX: Duration = Duration::from_secs(10);

    impl Playground {
        fn start(arguments: &[&str]) -> Self {
            let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost-sim"));
            command.arg("playground").args(arguments);
            let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
            Self(child.expect("the program starts"))
        }

        /// Everything it prints until it ends, or until a line that has `last` in it.
        fn hear(&mut self, last: Option<&'static str>) -> String {
            let out = BufReader::new(self.0.stdout.take().expect("its output is ours"));
            let (heard, hearing) = mpsc::channel();
            thread::spawn(move || {
                let mut text = String::new();
                for line in out.lines().map_while(Result::ok) {
                    text.push_str(&line);
                    text.push('\n');
                    if last.is_some_and(|last| line.contains(last)) {
                        break;
                    }
                }
                // Nobody listens any more if it took too long.
                let _ = heard.send(text);
            });
            hearing.recv_timeout(PATIENCE).expect("the playground takes too long")
        }

        fn errors(&mut self) -> String {
            let mut text = String::new();
            self.0.stderr.take().expect("its errors are ours").read_to_string(&mut text).unwrap();
            text
        }
    }

    impl Playground {
        /// Presses Ctrl-C, so to speak. None if it does not end by itself.
        fn interrupt(&mut self) -> Option<ExitStatus> {
            let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
            let pause = Duration::from_millis(10);
            (0..LEAVES_MAX.as_millis() / pause.as_millis()).find_map(|_| {
                thread::sleep(pause);
                self.0.try_wait().ok()?
            })
        }
    }

    impl Drop for Playground {
        fn drop(&mut self) {
            if !matches!(self.0.try_wait(), Ok(Some(_))) && self.interrupt().is_none() {
                // What is left is the directory for temporary files.
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
        }
    }

    #[test]
    fn it_shows_a_login_in_each_protocol_and_no_password() {
        let mut playground = Playground::start(&["--once"]);
        let shown = playground.hear(None);
        let status = playground.0.wait().unwrap();
        assert!(status.success(), "{shown}\n{}", playground.errors());
        for line in [
            "client → gatepost        C: a1 LOGIN \"john@example.com\" \"[secret]\"",
            "client → gatepost        C: STLS",
            "client → gatepost        C: [TLS handshake]",
            "gatepost → auth server   C: Auth-Pass: [secret]",
            "gatepost → auth server   C: Auth-SSL: on",
            "gatepost → IMAP backend  C: a1 LOGIN {16}",
            "gatepost → POP3 backend  C: PASS [secret]",
            "gatepost → SMTP backend  C: XCLIENT ADDR=127.0.0.1 LOGIN=john@example.com",
            "client → gatepost        S: 250 2.0.0 Taken",
        ] {
            assert!(shown.contains(line), "no {line:?} in\n{shown}");
        }
        assert_eq!(shown.matches("proxied session done").count(), 3, "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn ctrl_c_ends_it_and_leaves_nothing_behind() {
        let mut playground = Playground::start(&[]);
        let shown = playground.hear(Some("Ctrl-C ends it"));
        let (_, rest) = shown.split_once("--cacert '").expect("a command with the certificate");
        let certificate = Path::new(rest.split_once('\'').expect("a quoted path").0).to_owned();
        assert!(certificate.exists());
        assert!(playground.interrupt().expect("it leaves").success());
        assert!(!certificate.parent().unwrap().exists());
    }

    #[test]
    fn its_curl_commands_do_what_they_are_told_for() {
        if !there_is("curl") {
            assert!(std::env::var("CI").is_err(), "curl is not installed");
            eprintln!("skipped: curl is not installed");
            return;
        }
        let mut playground = Playground::start(&[]);
        let shown = playground.hear(Some("Ctrl-C ends it"));
        let commands: Vec<&str> =
            shown.lines().map(str::trim).filter(|line| line.contains("curl ")).collect();
        assert_eq!(commands.len(), 10, "{shown}");
        for command in commands {
            let bounded = command.replace("curl ", "curl --max-time 30 ");
            let output = Command::new("sh").arg("-c").arg(&bounded).output().unwrap();
            let (said, complaint) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{command}\n{said}\n{complaint}");
            let expected = match command {
                _ if command.contains("MAILINDEX=1") || command.contains("/1'") => "never heard of TLS",
                _ if command.contains("imap") => "* LIST () \"/\" INBOX",
                _ if command.contains("pop3") => "1 ",
                _ => "",
            };
            assert!(said.contains(expected), "{command}\n{said}");
        }
    }

    #[test]
    fn its_openssl_commands_reach_a_greeting_under_tls() {
        if !there_is("openssl") {
            assert!(std::env::var("CI").is_err(), "openssl is not installed");
            eprintln!("skipped: openssl is not installed");
            return;
        }
        let mut playground = Playground::start(&[]);
        let shown = playground.hear(Some("Ctrl-C ends it"));
        let commands: Vec<&str> =
            shown.lines().map(str::trim).filter(|line| line.starts_with("openssl ")).collect();
        assert_eq!(commands.len(), 6, "{shown}");
        for command in commands {
            // IMAP says BAD to QUIT and goodbye to LOGOUT; the other two are gone by then.
            let typed = format!("(printf 'QUIT\\na LOGOUT\\n'; sleep 1) | timeout 30 {command}");
            let output = Command::new("sh").arg("-c").arg(&typed).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(
                ["* BYE", "+OK", "221 "].iter().any(|goodbye| said.contains(goodbye)),
                "{command}\n{said}\n{complaint}"
            );
            assert!(!complaint.contains("verify error:"), "{command}\n{complaint}");
        }
    }

    fn there_is(program: &str) -> bool {
        Command::new(program).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    }
}
