//! Whether the transcripts notice when a line of the core is wrong: changes that nobody has chosen by hand are made to it, one at a time,
//! and the transcripts alone, played to the core alone, have to tell.
//!
//! ```sh
//! GATEPOST_SEED=0x2a cargo test -p gatepost-conformance --test mutation    # the ten changes of this seed
//! GATEPOST_MUTANTS=200 cargo test -p gatepost-conformance --test mutation  # so many, and more of them may go unnoticed
//! ```
//!
//! The changes are written into one copy of the workspace, each behind a number, so that they are compiled once and together; which of
//! them is in force, `GATEPOST_MUTANT` says when the program runs. Where a change can be made, `places` says. One that does not compile is
//! replaced by the next.

#[path = "mutation/places.rs"]
mod places;
#[path = "mutation/workshop.rs"]
mod workshop;

use aws_lc_rs::digest::{SHA256, digest};

use places::Place;
use workshop::{Mutant, Verdict, Workshop};

/// How many changes an ordinary run makes.
const MUTANTS: usize = 10;

/// Of so many changes one may go unnoticed: it may do nothing that anybody could notice.
const UNNOTICED_ONE_IN: usize = 10;

#[test]
fn of_ten_changes_to_the_core_the_transcripts_notice_nine() {
    let seed = variable("GATEPOST_SEED").unwrap().unwrap_or(0);
    let wanted =
        variable("GATEPOST_MUTANTS").unwrap().map_or(MUTANTS, |number| usize::try_from(number).unwrap());
    println!("GATEPOST_SEED={seed:#x}, {wanted} changes");
    let mut drawn = drawn(workshop::all_places().unwrap(), seed).into_iter();
    let workshop = Workshop::new().unwrap();
    let mutants = workshop.build(wanted, &mut drawn).unwrap();
    assert_eq!(mutants.len(), wanted, "there are not as many");
    assert_eq!(workshop.play(None).unwrap(), Verdict::Passes, "nothing is changed, and yet it fails");
    let mut unnoticed = 0;
    for (number, mutant) in mutants.iter().enumerate() {
        let verdict = workshop.play(Some(number)).unwrap();
        unnoticed += usize::from(verdict == Verdict::Passes);
        println!("{mutant}\n    {verdict}");
    }
    println!("{} of {} noticed", wanted - unnoticed, wanted);
    assert!(are_few(unnoticed, wanted), "GATEPOST_SEED={seed:#x}: {unnoticed} of {wanted} unnoticed");
}

#[test]
fn places_are_where_code_runs_and_in_one_line() {
    let source = r#"
        const A: usize = 1 + 1;
        const fn b() -> bool { 1 == 2 }
        impl core::fmt::Debug for B { fn fmt(&self) { self.count(1 < 2); } }
        #[cfg(test)]
        mod tests { fn c() -> bool { 1 == 2 } }
        #[cfg(feature = "fuzzing")]
        impl B { fn c() -> bool { 1 == 2 } }
        fn d(e: usize) -> bool {
            debug_assert!(e == 7);
            out.judge(1 < 2);
            e == f
                && g
        }
        fn h(mut i: usize) { i = k; if let Some(l) = m && n < o { p(l); } }
    "#;
    let places = places::of(source).unwrap();
    let told: Vec<_> =
        places.iter().map(|place| (&source[place.octets.clone()], place.instead.as_str())).collect();
    assert_eq!(told, [("e == f", "e != f"), ("i = k;", ""), ("n < o", "n <= o"), ("p(l);", "")]);
}

#[test]
fn two_of_ten_that_go_unnoticed_are_too_many() {
    assert!(are_few(0, 10) && are_few(1, 10) && are_few(15, 150));
    assert!(!are_few(2, 10) && !are_few(16, 150) && !are_few(1, 1));
}

#[test]
fn a_seed_draws_the_same_again_and_keeps_it_when_other_lines_change() {
    let all = workshop::all_places().unwrap();
    let told = |seed| drawn(all.clone(), seed).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(7), told(7));
    assert_ne!(told(7), told(8));
    let mut fewer = all.clone();
    fewer.retain(|mutant| !mutant.to_string().starts_with("core/src/proxy"));
    assert!(fewer.len() < all.len());
    let mut left = told(7);
    left.retain(|mutant| !mutant.starts_with("core/src/proxy"));
    assert_eq!(drawn(fewer, 7).iter().map(ToString::to_string).collect::<Vec<_>>(), left);
}

const fn are_few(unnoticed: usize, changes: usize) -> bool {
    unnoticed <= changes / UNNOTICED_ONE_IN
}

/// All changes in an order that depends on the seed and on each change alone: whoever edits another line of the core has the same ones drawn.
fn drawn(mut all: Vec<Mutant>, seed: u64) -> Vec<Mutant> {
    all.sort_by_cached_key(|mutant| {
        let lot = digest(&SHA256, format!("{seed} {}", mutant.without_line()).as_bytes());
        (lot.as_ref().to_vec(), mutant.to_string())
    });
    all
}

fn variable(name: &str) -> Result<Option<u64>, String> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map(Some).map_err(|_| format!("{name} is not a number, decimal or 0x…: {text}"))
}
