//! A function of the user's, with its types rubbed off: bytes in, one RESULT or ERROR frame out.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Boxed, describe};
use crate::frame::meta::{ErrorMeta, ResultMeta};
use crate::frame::{FrameType, JSON, begin_frame};
use crate::panic;
use crate::reply::Reply;
use crate::task::Task;

/// Takes the state, the request and the task, and appends the reply's frame to the buffer, which may be at most so long.
pub(crate) type Function<S> =
    Box<dyn FnMut(&mut S, &[u8], &Task, &mut Answer<'_>) -> Result<(), ErrorMeta<'static>>>;

/// Where a reply goes.
pub(crate) struct Answer<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) most: u32,
}

/// One that takes and gives JSON.
pub(crate) fn typed<S, Q, R, E>(
    mut code: impl FnMut(&mut S, Q, &Task) -> Result<R, E> + 'static,
) -> Function<S>
where
    Q: DeserializeOwned,
    R: Serialize,
    E: Into<Boxed>,
{
    Box::new(move |state, request, task, answer| {
        if task.is_for_each() {
            let mut replies = Vec::new();
            for (at, request) in decode::<Vec<Q>>(request, task)?.into_iter().enumerate() {
                replies.push(code(state, request, task).map_err(|error| of_item(at, describe(error)))?);
            }
            return encode(&replies, task, answer);
        }
        let request = decode(request, task)?;
        let reply = code(state, request, task).map_err(describe)?;
        encode(&reply, task, answer)
    })
}

fn of_item(at: usize, mut error: ErrorMeta<'static>) -> ErrorMeta<'static> {
    error.message = format!("item {at}: {}", error.message).into();
    error
}

/// One that takes and gives bytes.
pub(crate) fn raw<S, R, E>(
    mut code: impl FnMut(&mut S, &[u8], &Task) -> Result<R, E> + 'static,
) -> Function<S>
where
    R: Into<Reply>,
    E: Into<Boxed>,
{
    Box::new(move |state, request, task, answer| {
        if task.is_for_each() {
            return Err(named(
                "Each",
                format!("the function takes bytes, and the request is an array of {JSON}"),
            ));
        }
        let reply = code(state, request, task).map_err(describe)?.into();
        let meta = ResultMeta { content_type: (&*reply.content_type).into() }.to_bytes();
        let open = begin_frame(answer.out, FrameType::Result, 0, task.id(), &meta).map_err(refused)?;
        answer.out.extend_from_slice(&reply.bytes);
        open.finish(answer.out, answer.most).map_err(refused)
    })
}

/// Runs a function: whatever happens, exactly one frame is appended.
pub(crate) fn call<S>(
    function: &mut Function<S>,
    state: &mut S,
    request: &[u8],
    task: &Task,
    answer: &mut Answer<'_>,
) {
    let before = answer.out.len();
    let ended = panic::catch(|| function(state, request, task, answer));
    if let Err(error) = ended.unwrap_or_else(Err) {
        // A panic may have left half a reply.
        answer.out.truncate(before);
        write_error(answer.out, task.id(), &error);
    }
}

pub(crate) fn write_error(out: &mut Vec<u8>, id: u64, error: &ErrorMeta<'_>) {
    // Its meta is cut to fit, so there is nothing that can be too long.
    let written = crate::frame::write_frame(out, FrameType::Error, 0, id, &error.to_bytes(), b"");
    debug_assert!(written.is_ok(), "{written:?}");
}

fn decode<Q: DeserializeOwned>(request: &[u8], task: &Task) -> Result<Q, ErrorMeta<'static>> {
    if task.content_type() != JSON {
        let message = format!("the function takes {JSON}, and the request is {}", task.content_type());
        return Err(named("ContentType", message));
    }
    serde_json::from_slice(request).map_err(|error| {
        let wanted = std::any::type_name::<Q>();
        named("Request", format!("the request is not the {wanted} that the function takes: {error}"))
    })
}

fn encode(reply: &impl Serialize, task: &Task, answer: &mut Answer<'_>) -> Result<(), ErrorMeta<'static>> {
    let open = begin_frame(answer.out, FrameType::Result, 0, task.id(), b"").map_err(refused)?;
    match serde_json::to_writer(&mut *answer.out, reply) {
        Ok(()) => open.finish(answer.out, answer.most).map_err(refused),
        Err(error) => {
            open.abandon(answer.out);
            Err(named("Reply", format!("the reply cannot be written as JSON: {error}")))
        }
    }
}

fn refused(long: crate::frame::TooLong) -> ErrorMeta<'static> {
    named("TooLong", format!("the reply cannot be sent: {long}"))
}

pub(crate) fn named(name: &'static str, message: String) -> ErrorMeta<'static> {
    ErrorMeta { name: name.into(), message: message.into(), ..ErrorMeta::default() }
}
