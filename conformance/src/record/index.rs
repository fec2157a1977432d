//! The table in `corpus/README.md` that names every session.

use std::fmt::Write as _;

use crate::transcript::Transcript;

/// The first line of the table.
const HEAD: &str = "| Session | Client | Where it comes from | What happens |\n";

/// `readme` with the table of `sessions` in the place of the one it has.
///
/// # Errors
///
/// If it has none.
pub fn with_index(readme: &str, sessions: &[Transcript]) -> Result<String, String> {
    let (before, table) = readme.split_once(HEAD).ok_or("there is no table of sessions")?;
    let rows = table.split_inclusive('\n').take_while(|line| line.starts_with('|'));
    let after = table.get(rows.map(str::len).sum()..).unwrap_or_default();
    let mut text = format!("{before}{HEAD}| --- | --- | --- | --- |\n");
    for session in sessions {
        let Some(recorded) = &session.recorded else { continue };
        let [version, origin, title] =
            [&recorded.version, &recorded.origin, &session.title].map(|text| text.replace('|', "\\|"));
        let _ = writeln!(text, "| `{}` | {version} | {origin} | {title} |", session.id);
    }
    text.push_str(after);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_changes() {
        let session = ron::from_str(
            r#"(id: "x", title: "a | b", rows: [], config: (protocol: Imap), runners: [], script: [],
                recorded: Some((client: "c", version: "c 1", origin: "o", day: "2026-11-21", command: [])))"#,
        )
        .unwrap();
        let readme = |rows: &str| format!("before\n\n{HEAD}| --- | --- | --- | --- |\n{rows}\nafter | x\n");
        let found = with_index(&readme("| `gone` | 1 | o | t |\n"), &[session]).unwrap();
        assert_eq!(found, readme("| `x` | c 1 | o | a \\| b |\n"));
        assert!(with_index("nothing", &[]).is_err());
    }
}
