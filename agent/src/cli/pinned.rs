//! Reading verbs where no agent answers: they read what is pinned, and say so.

use std::process::ExitCode;

use super::{Pins, Socket, code_of, fail};
use crate::agent::status_of;
use crate::control::{ClientError, Reply, Request, Status, request};
use crate::datapath::DatapathError;
use crate::plane::{View, store_of};

/// How often to look again where an agent changes things while somebody looks.
const LOOKS: usize = 3;

/// Where an answer comes from.
pub(super) enum Seen<T> {
    /// An agent gave it.
    Agent(T),
    /// No agent did, for this reason, and it was read from what is pinned.
    Pins(T, ClientError),
}

/// The status, from the agent or from what is pinned.
///
/// # Errors
/// The exit code, after it was said what is wrong: 20 where neither an agent nor a data plane is there, 18 where what
/// is pinned cannot be used.
pub(super) fn status(socket: &Socket, pins: &Pins) -> Result<Seen<Box<Status>>, ExitCode> {
    let ask = || match request(&socket.socket, &Request::Status)? {
        Reply::Status(status) => Ok(status),
        other => Err(ClientError::Refused(format!("the agent answered something else: {other:?}"))),
    };
    ask_or_look(socket, pins, ask, |view| status_of(view).map(Box::new))
}

/// Why nothing can be seen.
pub(super) struct Blind {
    /// Exit code of a verb that ends by it.
    pub(super) code: u8,
    /// What is wrong.
    pub(super) message: String,
}

/// Asks the agent; where none answers, looks at what is pinned. Says on standard error why it could not.
///
/// # Errors
/// As [`status`].
pub(super) fn ask_or_look<T>(
    socket: &Socket,
    pins: &Pins,
    ask: impl FnMut() -> Result<T, ClientError>,
    look: impl Fn(&View) -> Result<T, DatapathError>,
) -> Result<Seen<T>, ExitCode> {
    see(socket, pins, ask, look).map_err(|blind| fail(blind.code, blind.message))
}

/// The same, in silence.
///
/// # Errors
/// As [`status`].
pub(super) fn see<T>(
    socket: &Socket,
    pins: &Pins,
    mut ask: impl FnMut() -> Result<T, ClientError>,
    look: impl Fn(&View) -> Result<T, DatapathError>,
) -> Result<Seen<T>, Blind> {
    let unanswered = |error: ClientError| Blind { code: code_of(&error), message: error.to_string() };
    let store = store_of(&pins.pins, &socket.socket);
    let mut looks = 0;
    loop {
        let absent = match ask() {
            Ok(answer) => return Ok(Seen::Agent(answer)),
            Err(error) if error.is_absent() => error,
            Err(error) => return Err(unanswered(error)),
        };
        looks += 1;
        match View::open(&store).and_then(|view| view.as_ref().map(&look).transpose()) {
            Ok(Some(seen)) => return Ok(Seen::Pins(seen, absent)),
            Ok(None) => return Err(unanswered(absent)),
            // An agent that starts or ends meanwhile takes pins away: then it answers now, or they are as they should be.
            Err(_) if looks < LOOKS => {}
            Err(error) => return Err(Blind { code: error.exit_code(), message: error.to_string() }),
        }
    }
}
