//! All transcripts of one subject as a test program: each is a test with a name, chosen and listed as usual.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::peer::Skip;
use crate::player::play;
use crate::subject::Subject;
use crate::transcript::{Library, Runner};

/// Plays every transcript that `runner` can play against the subject, as the command line asks. A subject that is not
/// there is skipped by name, and with `CI=true` a failure.
pub fn run<S: Subject + 'static>(runner: Runner, subject: Result<S, Skip>) -> ExitCode {
    let arguments = Arguments::from_args();
    let library = match Library::load() {
        Ok(library) => library,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let subject = subject.map(Arc::new);
    if let Err(skip) = &subject {
        eprintln!("{runner}: {skip}");
    }
    let required = std::env::var_os("CI").is_some_and(|value| value == "true");
    let transcripts = library.transcripts.into_iter();
    let trials = transcripts.filter(|transcript| transcript.runners.contains(&runner)).map(|transcript| {
        let subject = subject.clone();
        let skipped = subject.is_err() && !required;
        let trial = Trial::test(transcript.id.clone(), move || match &subject {
            Ok(subject) => play(&transcript, subject.as_ref()).map_err(Failed::from),
            Err(skip) => Err(format!("{skip}, but CI=true requires it").into()),
        });
        trial.with_kind(runner.to_string()).with_ignored_flag(skipped)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
