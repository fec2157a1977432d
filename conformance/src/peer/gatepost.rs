//! The real `gatepost` binary: found, or built the way the running test was.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The binary under test. `GATEPOST_BIN` names it, or it is built once per test process, in the profile and target
/// directory of the test itself.
///
/// # Errors
///
/// If the build fails; the error holds what cargo said.
pub fn gatepost_binary() -> io::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = std::env::var_os("GATEPOST_BIN") {
        return Ok(path.into());
    }
    let built = BUILT.get_or_init(|| build().map_err(|error| error.to_string()));
    built.clone().map_err(io::Error::other)
}

/// A test runs as `TARGET/[TRIPLE/]PROFILE/deps/NAME`, a program without the `deps`, and cargo marks the target directory with
/// a file.
fn build() -> io::Result<PathBuf> {
    let lost = || io::Error::other("not run by cargo: say where gatepost is by GATEPOST_BIN");
    let this = std::env::current_exe()?;
    let mut output = this.parent().ok_or_else(lost)?;
    if name(output) == Some("deps") {
        output = output.parent().ok_or_else(lost)?;
    }
    let profile = name(output).ok_or_else(lost)?;
    let above = output.parent().ok_or_else(lost)?;
    let binary = output.join("gatepost");
    if is_fresh(&binary) {
        return Ok(binary);
    }
    let marked = |directory: &Path| directory.join("CACHEDIR.TAG").exists();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Of the whole workspace, so that features, and with them the dependencies, are those already built.
    command.args(["build", "--quiet", "--workspace", "--bin", "gatepost", "--manifest-path"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    match profile {
        "debug" => {}
        other => _ = command.args(["--profile", other]),
    }
    match (marked(above), above.parent(), name(above)) {
        (true, _, _) => _ = command.arg("--target-dir").arg(above),
        (false, Some(target), Some(triple)) if marked(target) => {
            command.arg("--target-dir").arg(target).args(["--target", triple]);
        }
        _ => return Err(lost()),
    }
    let done = command.output()?;
    match done.status.success() {
        true => Ok(binary),
        false => Err(io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned())),
    }
}

/// Whether `binary` is younger than everything it is made of. A `cargo test` of the whole workspace has just built it, with
/// the features that tests add to its dependencies; to build it once more without them would build most of these again.
fn is_fresh(binary: &Path) -> bool {
    let made = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let sources =
        ["Cargo.lock", "Cargo.toml", "core/Cargo.toml", "core/src", "runtime/Cargo.toml", "runtime/src"];
    let mut to_look_at: Vec<_> = sources.iter().map(|source| root.join(source)).collect();
    let Ok(built) = made(binary) else { return false };
    while let Some(path) = to_look_at.pop() {
        if !made(&path).is_ok_and(|modified| modified < built) {
            return false;
        }
        if path.is_dir() {
            let Ok(entries) = std::fs::read_dir(&path) else { return false };
            to_look_at.extend(entries.flatten().map(|entry| entry.path()));
        }
    }
    true
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_built_beside_the_test() {
        let binary = gatepost_binary().unwrap();
        assert!(binary.is_file(), "{}", binary.display());
    }
}
