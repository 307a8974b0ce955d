//! What the log says of a model. It is alone in its process: tracing asks once and for all who wants the lines of a place in the
//! code, and a test beside it that has no log may be the first to get there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tandem_models::bounded::Places;
use tandem_models::openai::{OpenAi, OpenAiConfig};
use tandem_models::resilient::{Guarded, Resilient};
use tandem_models::{Completion, LanguageModel as _, Limits, Message, ModelEvent, client_builder};

/// Lines of the log, as they are written.
#[derive(Clone)]
struct Lines(std::sync::mpsc::Sender<Vec<u8>>);

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.send(line.to_vec()).map(|()| line.len()).map_err(std::io::Error::other)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Over a real socket that nobody listens at: what a new user who mistyped the port has to go by.
#[tokio::test]
async fn the_log_says_of_each_failure_what_to_mend() {
    let (to, lines) = std::sync::mpsc::channel();
    let lines_of = tracing_subscriber::fmt().with_writer(move || Lines(to.clone())).with_ansi(false).finish();
    let logging = tracing::subscriber::set_default(lines_of);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = OpenAiConfig {
        base_url: format!("http://{nobody}/v1"),
        key: Some("sk-secret".to_owned().into()),
        model: "m".into(),
        limits: Limits::default(),
    };
    let model = OpenAi::new(client_builder().build().unwrap(), config).unwrap();
    let only = Resilient::new(Guarded::new(Arc::new(model), Places::new(1)), vec![], Duration::from_secs(4));
    let asked =
        Completion { messages: vec![Message::user("my number is 5550100".to_owned())], ..Completion::default() };
    assert!(matches!(only.complete(asked).collect::<Vec<_>>().await[..], [ModelEvent::Failed { .. }]));
    drop(logging);
    let log: Vec<String> = lines.try_iter().map(|line| String::from_utf8(line).unwrap()).collect();
    let told: Vec<_> = log.iter().filter(|line| line.contains("a completion failed")).collect();
    assert_eq!(told.len(), 3, "once a try: {log:?}");
    let whither = format!("openai failed: cannot connect to http://{nobody}/v1/chat/completions (Connection refused");
    assert!(told.iter().all(|line| line.contains(&whither) && line.contains("reason=\"failed\"")), "{told:?}");
    assert!(!log.concat().contains("5550100") && !log.concat().contains("sk-secret"), "{log:?}");
}
