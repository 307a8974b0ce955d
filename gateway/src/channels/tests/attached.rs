//! Pictures and files of channels, from the webhook to the language model.

use super::*;

const GIF: &str = "GIF89a\x01\0\x01\0";
/// The GIF in base64.
const GIF_URL: &str = "data:image/gif;base64,R0lGODlhAQABAA==";

fn served(kind: &str, name: &str, body: &str) -> Script {
    let headers =
        vec![("content-type", kind.to_owned()), ("content-disposition", format!("inline; filename=\"{name}\""))];
    Script::Status { status: 200, headers, body: body.to_owned() }
}

fn sends_on(to: &str) -> Script {
    Script::Status { status: 302, headers: vec![("location", to.to_owned())], body: String::new() }
}

/// What the language model was told and shown of the caller's last message.
fn shown(question: &Value) -> (String, Vec<String>) {
    let messages = question["messages"].as_array().unwrap();
    let content = &messages.iter().rfind(|message| message["role"] == "user").unwrap()["content"];
    let Some(parts) = content.as_array() else { return (content.as_str().unwrap().to_owned(), Vec::new()) };
    let of = |kind: &'static str| parts.iter().filter(move |part| part["type"] == kind);
    let text = of("text").map(|part| part["text"].as_str().unwrap()).collect();
    (text, of("image_url").map(|part| part["image_url"]["url"].as_str().unwrap().to_owned()).collect())
}

fn with_picture(id: u64, text: Value, conversation: u64, url: &str) -> Value {
    let mut event = incoming(id, "");
    event["content"] = text;
    event["conversation"]["id"] = json!(conversation);
    event["attachments"] = json!([{ "id": 1, "message_id": id, "file_type": "image", "account_id": 7, "extension": null,
                                    "data_url": url, "thumb_url": url, "file_size": 10, "width": 1, "height": 1 }]);
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_in_chatwoot_reaches_the_model_once() {
    let files = |_: usize, asked: &Asked| match asked.path.as_str() {
        "/rails/active_storage/blobs/redirect/eyJf--5f0c/door.gif" => {
            sends_on("/rails/active_storage/disk/eyJf/door.gif")
        }
        "/rails/active_storage/disk/eyJf/door.gif" => served("image/gif", "door.gif", GIF),
        _ => Script::status(200, "{}"),
    };
    let mut world = World::start(|number| says(&format!("Answer {number}.")), files).await;
    let url = world.channel.vendor.url("/rails/active_storage/blobs/redirect/eyJf--5f0c/door.gif");
    let event = with_picture(100, json!("What is this?"), 123, &url);
    for _ in 0..2 {
        assert_eq!(world.chatwoot(&event).await, StatusCode::ACCEPTED);
    }
    let first = world.channel.next("/rails/active_storage/blobs/redirect/eyJf--5f0c/door.gif").await;
    assert!(!first.headers.contains_key("api_access_token"), "the address is the permission");
    assert_eq!(world.channel.json("/conversations/123/messages").await["content"], "Answer 0.");
    let question = shown(&world.model.json("/chat/completions").await);
    assert_eq!(question, ("What is this?\n[image: door.gif]".to_owned(), vec![GIF_URL.to_owned()]));
    // A redelivery after the answer, and a message behind it.
    assert_eq!(world.chatwoot(&event).await, StatusCode::ACCEPTED);
    assert_eq!(world.chatwoot(&incoming(101, "And?")).await, StatusCode::ACCEPTED);
    assert_eq!(world.channel.json("/conversations/123/messages").await["content"], "Answer 1.");
    assert_eq!(shown(&world.model.json("/chat/completions").await).0, "And?");
    let fetched = world.channel.vendor.asked().into_iter().filter(|asked| asked.path.contains("/active_storage/"));
    assert_eq!(fetched.count(), 2, "there and where it sends on to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_see_answers_what_was_written_beside_a_picture() {
    let blind = |_: usize, asked: &Asked| match asked.body.contains("image_url") {
        true => Script::status(400, r#"{"error":{"message":"Invalid content type.","type":"invalid_request_error"}}"#),
        false => says("What do you see?"),
    };
    let files = |_: usize, asked: &Asked| match asked.path.as_str() {
        "/door.gif" => served("image/gif", "door.gif", GIF),
        _ => Script::status(200, "{}"),
    };
    let mut world = World::with(blind, files).await;
    let url = world.channel.vendor.url("/door.gif");
    world.chatwoot(&with_picture(100, json!("What is this?"), 123, &url)).await;
    assert_eq!(world.channel.json("/conversations/123/messages").await["content"], "What do you see?");
    assert_eq!(shown(&world.model.json("/chat/completions").await).1, [GIF_URL]);
    let (text, pictures) = shown(&world.model.json("/chat/completions").await);
    let line = "What is this?\n[image: door.gif]\n\nThe picture door.gif could not be shown to you";
    assert!(text.starts_with(line) && pictures.is_empty(), "{text} {pictures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn media_of_twilio_is_fetched_with_the_accounts_password() {
    let files = |_: usize, asked: &Asked| match asked.path.as_str() {
        "/2010-04-01/Accounts/AC0/Messages/MM1/Media/ME0" => served("image/gif", "door.gif", GIF),
        "/2010-04-01/Accounts/AC0/Messages/MM1/Media/ME2" => served("text/plain", "notes.txt", "It creaks."),
        "/2010-04-01/Accounts/AC0/Messages/MM1/Media/ME3" => Script::status(404, "{}"),
        _ => Script::status(201, "{}"),
    };
    let mut world = World::start(|_| says("A door."), files).await;
    let media = |number: usize, kind: &'static str| {
        let path = format!("/2010-04-01/Accounts/AC0/Messages/MM1/Media/ME{number}");
        (world.channel.vendor.url(&path), kind)
    };
    let media = [media(0, "image/gif"), media(1, "audio/amr"), media(2, "text/plain"), media(3, "image/png")];
    assert_eq!(world.mms("MM1", "", &media).await, StatusCode::OK);
    let sent = world.channel.next("/2010-04-01/Accounts/AC0/Messages.json").await;
    assert!(sent.body.contains("Body=A+door."), "{}", sent.body);
    let (text, pictures) = shown(&world.model.json("/chat/completions").await);
    let lines = "[audio: could not be read: only pictures and files of text are]\n\
                 [image: could not be read: the channel does not give it (HTTP 404)]\n\
                 [image: door.gif]\n[file: notes.txt]\n";
    assert!(text.starts_with(lines) && text.contains("It creaks."), "{text}");
    assert_eq!(pictures, [GIF_URL]);
    let asked = world.channel.vendor.asked();
    let fetched: Vec<_> = asked.iter().filter(|asked| asked.path.contains("/Media/")).collect();
    let password = format!("Basic {}", STANDARD.encode("AC0:tok"));
    assert!(fetched.iter().all(|asked| asked.headers["authorization"] == password), "{fetched:?}");
    assert_eq!(fetched.len(), 3, "no recording is");
}

/// A storage beside the channel that gives a picture when it is told to.
struct Held {
    storage: FakeVendor,
    asked: Arc<Barrier>,
    free: Arc<Barrier>,
}

impl Held {
    fn new() -> Self {
        let (asked, free) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let hold = (Arc::clone(&asked), Arc::clone(&free));
        let storage = FakeVendor::answering(move |_, _| {
            hold.0.wait();
            hold.1.wait();
            served("image/gif", "door.gif", GIF)
        });
        Self { storage: storage.unwrap(), asked, free }
    }

    /// A channel that sends on to it.
    fn channel(&self) -> impl Fn(usize, &Asked) -> Script + Send + Sync + use<> {
        let url = self.storage.url("/door.gif");
        move |_, asked| if asked.path == "/door.gif" { sends_on(&url) } else { Script::status(200, "{}") }
    }
}

async fn pass(barrier: &Arc<Barrier>) {
    let barrier = Arc::clone(barrier);
    tokio::task::spawn_blocking(move || barrier.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_holds_back_its_own_conversation_alone() {
    let held = Held::new();
    let mut world = World::start(|number| says(&format!("Answer {number}.")), held.channel()).await;
    let url = world.channel.vendor.url("/door.gif");
    assert_eq!(world.chatwoot(&with_picture(100, Value::Null, 123, &url)).await, StatusCode::ACCEPTED);
    pass(&held.asked).await;
    assert_eq!(world.chatwoot(&incoming(101, "What is it?")).await, StatusCode::ACCEPTED);
    let mut other = incoming(200, "Are you open?");
    other["conversation"]["id"] = json!(124);
    assert_eq!(world.chatwoot(&other).await, StatusCode::ACCEPTED);
    assert_eq!(world.channel.json("/conversations/124/messages").await["content"], "Answer 0.");
    assert_eq!(asked(&world.model.json("/chat/completions").await), ["Are you open?"]);
    pass(&held.free).await;
    let question = shown(&world.model.json("/chat/completions").await);
    assert_eq!(question, ("[image: door.gif]".to_owned(), vec![GIF_URL.to_owned()]));
    assert_eq!(shown(&world.model.json("/chat/completions").await).0, "What is it?");
    for number in [1, 2] {
        let content = format!("Answer {number}.");
        assert_eq!(world.channel.json("/conversations/123/messages").await["content"], content.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_comes_while_a_picture_is_fetched_looks_at_it_alone() {
    let held = Held::new();
    let mut world = World::start(|_| says("Here I am again."), held.channel()).await;
    let url = world.channel.vendor.url("/door.gif");
    world.chatwoot(&with_picture(100, json!("look"), 123, &url)).await;
    pass(&held.asked).await;
    world.chatwoot(&by_person(101, "I take this.", 2.0)).await;
    assert!(world.node.state.registry.idle_within(PATIENCE).await, "the session ends");
    pass(&held.free).await;
    world.chatwoot(&status_changed("resolved", 3.0)).await;
    world.chatwoot(&status_changed("open", 4.0)).await;
    let mut later = incoming(103, "one more thing");
    later["conversation"]["updated_at"] = json!(5.0);
    world.chatwoot(&later).await;
    assert_eq!(shown(&world.model.json("/chat/completions").await), ("one more thing".to_owned(), Vec::new()));
    assert_eq!(world.channel.json("/conversations/123/messages").await["content"], "Here I am again.");
}
