//! What is shipped beside the binary: the Debian package, the systemd unit, the container file, the example.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gatepost::cli;
use gatepost::config::{self, Options, System};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(here().join(path)).unwrap()
}

/// What the Debian package installs: the path in the file system, and the file here that becomes it.
fn installed() -> BTreeMap<String, PathBuf> {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let assets = &manifest["package"]["metadata"]["deb"]["assets"];
    let pairs = assets.as_array().unwrap().iter().map(|asset| {
        let word = |index: usize| asset[index].as_str().unwrap();
        let mode = if word(1).starts_with("usr/sbin/") { "755" } else { "644" };
        assert_eq!(word(2), mode, "{}", word(1));
        (format!("/{}", word(1)), here().join(word(0)))
    });
    let count = assets.as_array().unwrap().len();
    let installed: BTreeMap<_, _> = pairs.collect();
    assert_eq!(installed.len(), count, "no path twice");
    installed
}

#[test]
fn the_package_installs_what_there_is_and_all_of_it() {
    let installed = installed();
    let built = here().join("target/release/gatepost");
    for (path, file) in &installed {
        assert!(*file == built || file.is_file(), "{path} from {}", file.display());
    }
    for path in [
        "/usr/sbin/gatepost",
        "/usr/lib/systemd/system/gatepost.service",
        "/usr/share/man/man8/gatepost.8",
        "/usr/share/bash-completion/completions/gatepost",
        "/usr/share/zsh/vendor-completions/_gatepost",
        "/usr/share/fish/vendor_completions.d/gatepost.fish",
        "/usr/share/doc/gatepost/examples/mail.conf",
    ] {
        assert!(installed.contains_key(path), "{path}");
    }
    let shipped: BTreeSet<_> = installed.values().collect();
    for folder in ["packaging/systemd", "packaging/man", "packaging/completions", "examples"] {
        for entry in fs::read_dir(here().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            assert!(shipped.contains(&path), "{} is left behind", path.display());
        }
    }
}

/// The settings of a section of the unit, each with all its values.
fn settings(section: &str) -> BTreeMap<String, Vec<String>> {
    let text = read("packaging/systemd/gatepost.service");
    let (_, behind) = text.split_once(&format!("[{section}]\n")).unwrap();
    let mut settings: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in behind.lines().take_while(|line| !line.starts_with('[')) {
        if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            settings.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    settings
}

#[test]
fn the_unit_gives_what_is_needed_and_no_more() {
    let service = settings("Service");
    let only = |name: &str| match service.get(name).map(Vec::as_slice) {
        Some([value]) => value.as_str(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(only("Type"), "notify");
    let capabilities = "CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_DAC_READ_SEARCH CAP_KILL";
    assert_eq!(only("CapabilityBoundingSet"), capabilities);
    assert_eq!(only("ProtectSystem"), "strict");
    for name in ["NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "MemoryDenyWriteExecute"] {
        assert_eq!(only(name), "yes", "{name}");
    }
    let families: BTreeSet<_> = only("RestrictAddressFamilies").split(' ').collect();
    assert_eq!(families, BTreeSet::from(["AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"]));
}

/// A word of a command line as systemd would pass it on; variables are empty.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        match index % 2 {
            0 => words.extend(
                part.split(' ').filter(|word| !word.is_empty() && !word.starts_with('$')).map(str::to_owned),
            ),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

fn must_be_understood(command: &[String]) {
    let parsed = cli::definition().try_get_matches_from(command);
    assert!(parsed.is_ok(), "{command:?}: {parsed:?}");
}

#[test]
fn the_unit_starts_what_the_package_installs_with_options_that_there_are() {
    let (installed, service) = (installed(), settings("Service"));
    let mut commands = 0;
    for (name, lines) in service.iter().filter(|(name, _)| name.starts_with("Exec")) {
        for line in lines {
            let command = words(line);
            let path = command.first().unwrap();
            if path.ends_with("/gatepost") {
                assert!(installed.contains_key(path), "{name}={line}");
                must_be_understood(&command);
                commands += 1;
            } else {
                assert_eq!(path, "/bin/kill", "{name}={line}");
            }
        }
    }
    assert_eq!(commands, 3);
}

#[test]
fn systemd_understands_the_unit_and_finds_it_shut_in() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "systemd-analyze is not installed");
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    }
    let folder = std::env::temp_dir().join(format!("gatepost-unit-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let unit = folder.join("gatepost.service");
    // What it would start, and the manual, are not installed here.
    let text = read("packaging/systemd/gatepost.service");
    let text = text.replace("/usr/sbin/gatepost", "/bin/true").replace("Documentation=", "#Documentation=");
    fs::write(&unit, text).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    let scored = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=30"])
        .arg(&unit)
        .output()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    let about_it = said.lines().filter(|line| line.contains("gatepost.service"));
    assert_eq!(about_it.collect::<Vec<_>>(), [""; 0]);
    // 0 is shut in entirely, 10 not at all, in tenths.
    assert!(scored.status.success(), "{}", String::from_utf8_lossy(&scored.stdout));
}

/// The instructions of the container file, with what follows each on its continued lines.
fn instructions() -> Vec<(String, String)> {
    let text = read("packaging/container/Containerfile").replace("\\\n", "");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect()
}

#[test]
fn the_container_runs_what_the_package_installs_and_not_as_root() {
    let (installed, instructions) = (installed(), instructions());
    let only = |name: &str| {
        let mut found = instructions.iter().filter(|(each, _)| each == name).map(|(_, rest)| rest.as_str());
        match (found.next(), found.next()) {
            (Some(rest), None) => rest,
            other => panic!("{name}: {other:?}"),
        }
    };
    let entry: Vec<String> = toml::from_str::<toml::Table>(&format!("entry = {}", only("ENTRYPOINT")))
        .unwrap()["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect();
    assert!(installed.contains_key(&entry[0]), "{entry:?}");
    must_be_understood(&entry);
    let user = only("USER").split(':').map(|number| number.parse::<u32>().unwrap());
    assert!(user.into_iter().all(|number| number > 0));
    assert!(["SIGTERM", "SIGQUIT"].contains(&only("STOPSIGNAL")));
    // The one package it copies is the one that is installed, and is not left in the image.
    let (package, folder) = only("COPY").split_once(' ').unwrap();
    assert_eq!(package, "gatepost_*.deb");
    let run = only("RUN");
    assert!(
        run.contains(&format!(" {folder}{package} ")) && run.contains(&format!("rm -rf {folder}{package}")),
        "{run}"
    );
    let known = ["FROM", "COPY", "RUN", "USER", "ENTRYPOINT", "STOPSIGNAL"];
    assert!(instructions.iter().all(|(name, _)| known.contains(&name.as_str())), "{instructions:?}");
}

#[test]
fn the_example_is_understood_without_a_word() {
    let folder = std::env::temp_dir().join(format!("gatepost-example-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["mail.example.com".to_owned()]).unwrap();
    fs::write(folder.join("fullchain.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join("privkey.pem"), key.serialize_pem()).unwrap();
    let text = read("examples/mail.conf").replace("/etc/ssl/mail.example.com", folder.to_str().unwrap());
    fs::write(folder.join("mail.conf"), text).unwrap();
    let loaded = config::load(Path::new("mail.conf"), &Options::new(&folder, &System));
    fs::remove_dir_all(&folder).unwrap();
    let loaded =
        loaded.map_err(|told| told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(loaded.config.servers.len(), 6);
    assert!(loaded.config.servers.iter().all(|server| server.tls.is_some()));
}
