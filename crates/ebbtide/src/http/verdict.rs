//! Decision: what a stop does with one connection.
//!
//! | connection | until | what |
//! |---|---|---|
//! | upgraded | `streams` | wait, then cut |
//! | HTTP/2 | – | finish: GOAWAY, its streams end; without one that is open cut after `heads` |
//! | HTTP/1 with a request | – | finish: its answer is the last; one of unknown length is cut after `streams` |
//! | has sent nothing, or half of a head, or its head is in the socket unread | `heads` | wait for the request, then cut |
//! | HTTP/1 without any of these | – | finish, which closes it at once |
//! | any | `requests` | cut |

use std::time::Duration;

use super::phase::Caps;

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) protocol: Protocol,
    /// Requests whose answers are not yet given.
    pub(crate) requests: u32,
    /// Among them, answers of unknown length.
    pub(crate) streams: u32,
    /// Among them, those whose own bodies have not ended.
    pub(crate) uploads: u32,
    /// Whether a request has ever begun.
    pub(crate) began: Began,
    /// What came after the last request.
    pub(crate) incoming: Incoming,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Unknown,
    One,
    Two,
    Upgraded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Began {
    Never,
    Once,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Nothing,
    /// Bytes that are not yet a request.
    Bytes,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// Leave it, and ask again when something changes or `look` has passed.
    Wait { look: Duration },
    /// Ask it to end after what is under way; then as above.
    Finish { look: Duration },
    /// End it.
    Cut(Cut),
}

/// What a connection was cut in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It had nothing open: it had sent nothing, or did not close when it was asked to.
    Silent,
    /// It had sent half of a head.
    Head,
    /// It was still sending a request's body.
    Body,
    /// An answer of unknown length, or an upgraded connection.
    Stream,
    /// A request that was still served.
    Request,
}

/// `elapsed` since the stop.
pub(crate) fn verdict(view: View, elapsed: Duration, caps: &Caps) -> Verdict {
    let (cap, before) = match view {
        View { protocol: Protocol::Upgraded, .. } => (caps.streams, Before::Wait),
        View { protocol: Protocol::Two, requests: 0, .. } => (caps.heads, Before::Finish),
        View { protocol: Protocol::Two, .. } => (caps.requests, Before::Finish),
        View { requests: 1.., streams: 1.., .. } => (caps.streams, Before::Finish),
        View { requests: 1.., .. } => (caps.requests, Before::Finish),
        View { began: Began::Never, .. } | View { incoming: Incoming::Bytes, .. } => {
            (caps.heads, Before::Wait)
        }
        View { .. } => (caps.heads, Before::Finish),
    };
    let look = cap.min(caps.requests).saturating_sub(elapsed);
    if look.is_zero() {
        return Verdict::Cut(cut_in(view));
    }
    match before {
        Before::Wait => Verdict::Wait { look },
        Before::Finish => Verdict::Finish { look },
    }
}

/// Which word the report has for it.
pub(crate) fn cut_in(view: View) -> Cut {
    match view {
        View { protocol: Protocol::Upgraded, .. } | View { streams: 1.., .. } => Cut::Stream,
        View { uploads: 1.., .. } => Cut::Body,
        View { requests: 1.., .. } => Cut::Request,
        View { protocol: Protocol::Two, .. } => Cut::Silent,
        View { incoming: Incoming::Bytes, .. } => Cut::Head,
        View { .. } => Cut::Silent,
    }
}

/// What is done before the cap.
enum Before {
    Wait,
    Finish,
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        heads: Duration::from_secs(1),
        bodies: Duration::from_secs(2),
        streams: Duration::from_secs(3),
        requests: Duration::from_secs(9),
    };

    /// It has served, and nothing happens on it.
    const IDLE: View = View {
        protocol: Protocol::One,
        requests: 0,
        streams: 0,
        uploads: 0,
        began: Began::Once,
        incoming: Incoming::Nothing,
    };

    fn every_view() -> Vec<View> {
        let mut views = Vec::new();
        for protocol in [Protocol::Unknown, Protocol::One, Protocol::Two, Protocol::Upgraded] {
            for (requests, streams, uploads) in
                [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1), (2, 1, 0)]
            {
                for began in [Began::Never, Began::Once] {
                    for incoming in [Incoming::Nothing, Incoming::Bytes] {
                        views.push(View { protocol, requests, streams, uploads, began, incoming });
                    }
                }
            }
        }
        views
    }

    #[test]
    fn nothing_outlives_the_last_cap_and_nothing_is_cut_before_the_first() {
        for view in every_view() {
            assert!(matches!(verdict(view, CAPS.requests, &CAPS), Verdict::Cut(_)), "{view:?}");
            match verdict(view, Duration::ZERO, &CAPS) {
                Verdict::Wait { look } | Verdict::Finish { look } => assert!(look <= CAPS.requests),
                Verdict::Cut(_) => panic!("{view:?} was cut at once"),
            }
        }
    }

    #[test]
    fn each_row_of_the_table_has_its_time_and_its_word() {
        let (wait, finish) = (|look| Verdict::Wait { look }, |look| Verdict::Finish { look });
        let Caps { heads, streams, requests, .. } = CAPS;
        let served = View { requests: 1, ..IDLE };
        let arrived = View { incoming: Incoming::Bytes, ..IDLE };
        let two = View { protocol: Protocol::Two, ..IDLE };
        let rows = [
            (View { protocol: Protocol::Upgraded, ..IDLE }, wait(streams), Cut::Stream),
            (two, finish(heads), Cut::Silent),
            (View { protocol: Protocol::Two, ..arrived }, finish(heads), Cut::Silent),
            (View { requests: 2, ..two }, finish(requests), Cut::Request),
            (View { requests: 2, streams: 1, ..two }, finish(requests), Cut::Stream),
            (served, finish(requests), Cut::Request),
            (View { requests: 1, ..arrived }, finish(requests), Cut::Request),
            (View { uploads: 1, ..served }, finish(requests), Cut::Body),
            (View { streams: 1, ..served }, finish(streams), Cut::Stream),
            (View { streams: 1, uploads: 1, ..served }, finish(streams), Cut::Stream),
            (View { began: Began::Never, ..IDLE }, wait(heads), Cut::Silent),
            (View { began: Began::Never, ..arrived }, wait(heads), Cut::Head),
            (arrived, wait(heads), Cut::Head),
            (IDLE, finish(heads), Cut::Silent),
        ];
        let tight = Caps { requests: Duration::from_millis(1), ..CAPS };
        for (view, before, cut) in rows {
            assert_eq!(verdict(view, Duration::ZERO, &CAPS), before, "{view:?}");
            assert_eq!(verdict(view, tight.requests, &tight), Verdict::Cut(cut), "{view:?}");
        }
    }

    #[test]
    fn a_look_at_the_time_it_names_decides() {
        for view in every_view() {
            let (Verdict::Wait { look } | Verdict::Finish { look }) = verdict(view, Duration::ZERO, &CAPS)
            else {
                panic!("{view:?} was cut at once");
            };
            assert!(matches!(verdict(view, look, &CAPS), Verdict::Cut(_)), "{view:?} would look for ever");
        }
    }

    #[test]
    fn a_request_that_may_still_come_is_waited_for_and_an_idle_connection_is_not() {
        assert!(matches!(verdict(IDLE, Duration::ZERO, &CAPS), Verdict::Finish { .. }));
        let arrived = View { incoming: Incoming::Bytes, ..IDLE };
        assert_eq!(verdict(arrived, Duration::ZERO, &CAPS), Verdict::Wait { look: CAPS.heads });
        assert_eq!(verdict(arrived, CAPS.heads, &CAPS), Verdict::Cut(Cut::Head));
        let fresh = View { began: Began::Never, protocol: Protocol::Unknown, ..IDLE };
        assert_eq!(verdict(fresh, Duration::ZERO, &CAPS), Verdict::Wait { look: CAPS.heads });
        assert_eq!(verdict(fresh, CAPS.heads, &CAPS), Verdict::Cut(Cut::Silent));
    }

    #[test]
    fn a_stream_ends_before_the_requests_of_others() {
        let view = View {
            protocol: Protocol::One,
            requests: 1,
            streams: 1,
            uploads: 0,
            began: Began::Once,
            incoming: Incoming::Nothing,
        };
        assert_eq!(verdict(view, CAPS.streams, &CAPS), Verdict::Cut(Cut::Stream));
        let served = View { streams: 0, ..view };
        assert!(matches!(verdict(served, CAPS.streams, &CAPS), Verdict::Finish { .. }));
        let two = View { protocol: Protocol::Two, ..view };
        assert!(
            matches!(verdict(two, CAPS.streams, &CAPS), Verdict::Finish { .. }),
            "its streams end one by one"
        );
        let socket = View { protocol: Protocol::Upgraded, requests: 0, streams: 0, ..view };
        assert_eq!(verdict(socket, CAPS.streams, &CAPS), Verdict::Cut(Cut::Stream));
    }
}
