//! The tools that Tandem brings along: a clinic's calendar, for the demo bot.
//!
//! The calendar is owned by one thread, which also does its blocking file work. It receives calls by a bounded mailbox
//! and answers each; a booking is on the disk before it is answered. It ends when the last handle is gone.

mod calendar;
mod store;

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tandem_contract::bot::flow::BUILTIN_TOOLS;
use tandem_contract::ports::{StoreError, ToolCall, ToolError, Tools};
use tandem_models::ToolSpec;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use self::calendar::{Appointment, Calendar, Day, HOURS, No};
use self::store::{CalendarStore, FileStore};

/// Calls that wait for the calendar. A call takes about a disk flush, so a full mailbox is seconds of work.
const MAILBOX: usize = 256;

/// Handle to the built-in tools: `opening_hours`, `check_availability`, `book_appointment`, `cancel_appointment`.
#[derive(Clone, Debug)]
pub struct Builtin {
    /// Full: the caller's tool call waits, and the caller is told to wait.
    calls: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    call: ToolCall,
    /// Dropped when the session is gone; the call is done all the same.
    reply: oneshot::Sender<Result<Value, ToolError>>,
}

/// Opens the built-in tools on a data folder, which has to exist.
///
/// # Errors
/// When `appointments.json` cannot be read, or no thread can be started.
pub fn builtin(data: &Path) -> Result<Builtin, StoreError> {
    let today =
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / 86_400;
    start(FileStore::new(data.to_owned()), today)
}

/// `today`: days since 1970-01-01, UTC.
fn start(store: impl CalendarStore, today: impl Fn() -> u64 + Send + 'static) -> Result<Builtin, StoreError> {
    let calendar = store.load()?;
    let (calls, mut mailbox) = mpsc::channel::<Request>(MAILBOX);
    let mut desk = Desk { calendar, store, today };
    let serve = move || {
        while let Some(Request { call, reply }) = mailbox.blocking_recv() {
            let result = desk.serve(&call);
            if let Err(ToolError::Failed { source, .. }) = &result {
                error!(session = %call.session, tool = call.tool, %source, "a tool failed");
            }
            // Nobody waits any more: the session ended. What was booked stays booked.
            let _ = reply.send(result);
        }
    };
    let thread = thread::Builder::new().name("calendar".to_owned()).spawn(serve);
    let failed = |source| StoreError::Io { action: "start", path: "the calendar's thread".to_owned(), source };
    thread.map(|_| Builtin { calls }).map_err(failed)
}

impl Tools for Builtin {
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<Value, ToolError>> {
        let calls = self.calls.clone();
        Box::pin(async move {
            if !BUILTIN_TOOLS.contains(&call.tool.as_str()) {
                return Err(ToolError::Unknown(call.tool));
            }
            let tool = call.tool.clone();
            let (reply, answer) = oneshot::channel();
            if calls.send(Request { call, reply }).await.is_err() {
                return Err(gone(tool));
            }
            answer.await.unwrap_or_else(|_| Err(gone(tool)))
        })
    }
}

/// A built-in tool as a language model sees it.
pub fn spec(name: &str) -> Option<ToolSpec> {
    let day = json!({ "type": "string", "enum": ["monday", "tuesday", "wednesday", "thursday", "friday"] });
    let time = json!({ "type": "string", "description": "HH:MM, 24 hours" });
    let (description, properties, required) = match name {
        "opening_hours" => ("When the clinic is open.", json!({}), vec![]),
        "check_availability" => (
            "Free times on the next such day; with a time, those nearest to it first.",
            json!({ "day": day, "time": time }),
            vec!["day"],
        ),
        "book_appointment" => (
            "Books a free time and answers with its reference. Have the caller confirm day and time before.",
            json!({ "day": day, "time": time }),
            vec!["day", "time"],
        ),
        "cancel_appointment" => (
            "Cancels the appointment with this reference. Have the caller confirm before.",
            json!({ "reference": { "type": "string", "description": "as it was given when it was booked" } }),
            vec!["reference"],
        ),
        _ => return None,
    };
    let parameters =
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    Some(ToolSpec { name: name.to_owned(), description: description.to_owned(), parameters })
}

/// The calendar's thread is no more.
fn gone(tool: String) -> ToolError {
    let source = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    ToolError::Failed { tool, source: StoreError::Io { action: "reach", path: "the calendar".to_owned(), source } }
}

struct Desk<S, T> {
    calendar: Calendar,
    store: S,
    today: T,
}

impl<S: CalendarStore, T: Fn() -> u64> Desk<S, T> {
    fn serve(&mut self, call: &ToolCall) -> Result<Value, ToolError> {
        match call.tool.as_str() {
            "opening_hours" => Ok(json!({ "text": HOURS })),
            "check_availability" => self.check(call),
            "book_appointment" => self.book(call),
            "cancel_appointment" => self.cancel(call),
            _ => Err(ToolError::Unknown(call.tool.clone())),
        }
    }

    fn check(&self, call: &ToolCall) -> Result<Value, ToolError> {
        let day = self.day(call)?;
        let free = self.calendar.free(&day, text(call, "time").ok()).map_err(refused)?;
        Ok(json!({ "day": day.name, "date": day.date, "free": free, "nearest": free.first() }))
    }

    fn book(&mut self, call: &ToolCall) -> Result<Value, ToolError> {
        let (day, time) = (self.day(call)?, text(call, "time")?);
        self.change(call, |calendar| calendar.book(&day, time, &call.idempotency_key, rand::random))
    }

    fn cancel(&mut self, call: &ToolCall) -> Result<Value, ToolError> {
        let reference = text(call, "reference")?;
        self.change(call, |calendar| calendar.cancel(reference, &call.idempotency_key))
    }

    /// Changes a copy, which becomes the calendar once it is on the disk.
    fn change(
        &mut self,
        call: &ToolCall,
        act: impl FnOnce(&mut Calendar) -> Result<&Appointment, No>,
    ) -> Result<Value, ToolError> {
        let mut changed = self.calendar.clone();
        changed.forget_before((self.today)());
        let Appointment { reference, day, date, time, .. } = act(&mut changed).map_err(refused)?;
        let answer = json!({ "reference": reference, "day": day, "date": date, "time": time });
        if changed != self.calendar {
            let failed = |source| ToolError::Failed { tool: call.tool.clone(), source };
            self.store.save(&changed).map_err(failed)?;
            self.calendar = changed;
        }
        Ok(answer)
    }

    fn day(&self, call: &ToolCall) -> Result<Day, ToolError> {
        Day::next(text(call, "day")?, (self.today)()).map_err(refused)
    }
}

fn text<'a>(call: &'a ToolCall, name: &str) -> Result<&'a str, ToolError> {
    let found = call.arguments.get(name).and_then(Value::as_str);
    found.filter(|text| !text.is_empty()).ok_or_else(|| ToolError::BadArgument {
        tool: call.tool.clone(),
        name: name.to_owned(),
        why: "a text is needed".to_owned(),
    })
}

fn refused(no: No) -> ToolError {
    ToolError::Refused { code: no.code().to_owned(), detail: no.detail().to_owned() }
}

#[cfg(test)]
mod tests {
    use tandem_contract::{NodeId, SessionId};

    use super::*;

    fn wish(tool: &str, arguments: Value, key: &str) -> ToolCall {
        let session = SessionId::new(NodeId(0));
        ToolCall { session, tool: tool.to_owned(), arguments, idempotency_key: key.to_owned() }
    }

    fn code(result: Result<Value, ToolError>) -> String {
        match result {
            Err(ToolError::Refused { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn appointments_outlive_the_process() {
        let data = tempfile::tempdir().unwrap();
        let nine = json!({ "day": "monday", "time": "09:00" });
        let tools = builtin(data.path()).unwrap();
        let booked = tools.call(wish("book_appointment", nine.clone(), "a/1")).await.unwrap();
        let again = tools.call(wish("book_appointment", nine.clone(), "a/1")).await.unwrap();
        assert_eq!(booked, again);
        assert_eq!(code(tools.call(wish("book_appointment", nine.clone(), "b/1")).await), "slot_taken");
        drop(tools);

        let tools = builtin(data.path()).unwrap();
        assert_eq!(code(tools.call(wish("book_appointment", nine.clone(), "c/1")).await), "slot_taken");
        let near = tools.call(wish("check_availability", nine.clone(), "c/2")).await.unwrap();
        assert_eq!(near["nearest"], "09:30");
        let reference = json!({ "reference": booked["reference"] });
        let cancelled = tools.call(wish("cancel_appointment", reference.clone(), "d/1")).await.unwrap();
        assert_eq!(cancelled["day"], "Monday");
        assert_eq!(code(tools.call(wish("cancel_appointment", reference, "e/1")).await), "not_found");
        assert!(tools.call(wish("book_appointment", nine, "c/3")).await.is_ok());
        assert!(!data.path().join("appointments.json.new").exists());
    }

    #[tokio::test]
    async fn one_time_goes_to_one_of_many_callers() {
        let data = tempfile::tempdir().unwrap();
        let tools = builtin(data.path()).unwrap();
        let nine = json!({ "day": "friday", "time": "11:00" });
        let calls = (0..20).map(|n| tools.call(wish("book_appointment", nine.clone(), &format!("{n}"))));
        let results = futures_util::future::join_all(calls).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    }

    #[tokio::test]
    async fn bad_calls_are_told() {
        let data = tempfile::tempdir().unwrap();
        let tools = builtin(data.path()).unwrap();
        assert!(matches!(tools.call(wish("fly", json!({}), "a")).await, Err(ToolError::Unknown(_))));
        let no_day = tools.call(wish("check_availability", json!({}), "a")).await;
        assert!(matches!(no_day, Err(ToolError::BadArgument { name, .. }) if name == "day"));
        assert_eq!(code(tools.call(wish("check_availability", json!({ "day": "sunday" }), "a")).await), "closed");
        assert!(tools.call(wish("opening_hours", json!({}), "a")).await.unwrap()["text"].is_string());
    }

    #[tokio::test]
    async fn a_calendar_that_cannot_be_written_books_nothing() {
        let data = tempfile::tempdir().unwrap();
        let gone = data.path().join("gone");
        let tools = builtin(&gone).unwrap();
        let nine = json!({ "day": "monday", "time": "09:00" });
        let failed = tools.call(wish("book_appointment", nine.clone(), "a")).await;
        assert!(matches!(failed, Err(ToolError::Failed { .. })), "{failed:?}");
        std::fs::create_dir(&gone).unwrap();
        assert!(tools.call(wish("book_appointment", nine, "b")).await.is_ok());
    }

    #[test]
    fn a_model_is_told_of_every_tool() {
        for name in BUILTIN_TOOLS {
            let spec = spec(name).unwrap();
            let properties = spec.parameters["properties"].as_object().unwrap();
            let required = spec.parameters["required"].as_array().unwrap();
            assert!(required.iter().all(|name| properties.contains_key(name.as_str().unwrap())), "{name}");
        }
        assert_eq!(spec("fly"), None);
    }

    #[test]
    fn a_broken_file_is_told_at_start() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("appointments.json"), "{").unwrap();
        assert!(matches!(builtin(data.path()), Err(StoreError::Corrupt { .. })));
    }
}
