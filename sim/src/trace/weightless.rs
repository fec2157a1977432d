//! A listener whose own memory is no session's: what an event takes to be spelt out may be more than whoever caused it holds.

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::weigh::off_the_scales;

/// Listens as `S` does, off the scales. Nobody asks it which span is the current one.
pub(super) struct Weightless<S>(pub(super) S);

impl<S: Subscriber> Subscriber for Weightless<S> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        off_the_scales(|| self.0.register_callsite(metadata))
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        off_the_scales(|| self.0.enabled(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        off_the_scales(|| self.0.new_span(span))
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        off_the_scales(|| self.0.record(span, values));
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        off_the_scales(|| self.0.record_follows_from(span, follows));
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        off_the_scales(|| self.0.event_enabled(event))
    }

    fn event(&self, event: &Event<'_>) {
        off_the_scales(|| self.0.event(event));
    }

    fn enter(&self, span: &Id) {
        off_the_scales(|| self.0.enter(span));
    }

    fn exit(&self, span: &Id) {
        off_the_scales(|| self.0.exit(span));
    }

    fn clone_span(&self, span: &Id) -> Id {
        off_the_scales(|| self.0.clone_span(span))
    }

    fn try_close(&self, span: Id) -> bool {
        off_the_scales(|| self.0.try_close(span))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Of, told};
    use crate::weigh::Weighed;

    #[test]
    fn a_session_does_not_pay_for_what_is_told_of_it() {
        let mut most = 0;
        let (trace, ()) = told(Of::Everything, || {
            let session =
                std::pin::pin!(
                    Weighed::new(async { tracing::info!("{:60000}", 1) }, |octets| most = most.max(octets),)
                );
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(session.poll(&mut cx).is_ready());
        });
        assert!(trace.len() > 60_000, "{}", trace.len());
        assert!(most < 10_000, "{most}");
    }
}
