//! A session's question to the DNS.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use gatepost_core::Answer;

/// The question that is open, if one is.
#[derive(Default)]
pub(super) struct Asked(Option<Pin<Box<dyn Future<Output = Answer>>>>);

impl Asked {
    /// Asks; what was asked before is forgotten.
    pub(super) fn ask(&mut self, question: impl Future<Output = Answer> + 'static) {
        self.0 = Some(Box::pin(question));
    }

    /// Ready with the answer; never when nothing is asked.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let Some(question) = &mut self.0 else { return Poll::Pending };
        let answer = question.as_mut().poll(cx);
        if answer.is_ready() {
            self.0 = None;
        }
        answer
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Asked(waiting)" } else { "Asked(nothing)" })
    }
}
