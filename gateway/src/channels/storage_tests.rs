//! Storages over real sockets: what they give, where they send on to, and how they fail.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use tandem_contract::attachment::PictureFormat;
use tandem_signaling::stream::attachment::{FILE_MAX, PICTURE_MAX};
use tandem_test_vendors::{Asked, FakeVendor, Script, Step};

use super::*;
use crate::channels::attached::Kind;

/// For peers that never answer: what is waited for is that they do not.
const SHORT: Duration = Duration::from_millis(200);
const GIF: &str = "GIF89a\x01\0\x01\0";

fn storage(base_url: &str) -> Storage {
    let login = Login { name: "AC0".to_owned(), password: "tok".to_owned().into() };
    Storage::open("test", base_url, &[], Some(login)).unwrap()
}

fn named(base_url: &str, hosts: &[&str]) -> Storage {
    let login = Login { name: "AC0".to_owned(), password: "tok".to_owned().into() };
    let hosts: Vec<Host> = hosts.iter().map(|host| host.parse().unwrap()).collect();
    Storage::open("test", base_url, &hosts, Some(login)).unwrap()
}

fn link(vendor: &FakeVendor, path: &str) -> Link {
    Link { kind: Kind::Image, media_type: None, url: vendor.url(path).into() }
}

/// The only one that came, or what was said of it.
async fn only(storage: &Storage, link: Link) -> Result<Attachment, String> {
    let Fetched { mut attachments, mut marks } = storage.fetch(vec![link]).await;
    assert_eq!(attachments.len() + marks.len(), 1);
    attachments.pop().ok_or_else(|| marks.remove(0))
}

fn file(kind: &str, name: &str, body: impl Into<String>) -> Script {
    let disposition = format!("inline; filename=\"{name}\"; filename*=UTF-8''{name}");
    let headers = vec![("content-type", kind.to_owned()), ("content-disposition", disposition)];
    Script::Status { status: 200, headers, body: body.into() }
}

fn sends_on(status: u16, to: impl Into<String>) -> Script {
    Script::Status { status, headers: vec![("location", to.into())], body: "moved".to_owned() }
}

fn is_gif(attachment: &Attachment) -> bool {
    matches!(attachment, Attachment::Image { picture, .. } if picture.format == PictureFormat::Gif)
}

fn password_of(asked: &Asked) -> Option<&str> {
    asked.headers.get("authorization").map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn pictures_and_files_come_in_order_and_with_their_names() {
    let vendor = FakeVendor::answering(|_, asked| match asked.path.as_str() {
        // Later than the other, and of an unknown length.
        "/a" => Script::Stream {
            content_type: "image/gif",
            steps: vec![Step::Wait(SHORT), Step::Send("GIF89a".into()), Step::Send("\x01\0".into())],
        },
        "/b" => file("text/csv; charset=utf-8", "a list.csv", "a,b\n1,2"),
        _ => file("Binary/Octet-Stream ; charset=binary", "door.gif", GIF),
    });
    let vendor = vendor.unwrap();
    let announced = Link { media_type: Some("image/png".to_owned()), ..link(&vendor, "/c") };
    let fetched = storage(&vendor.url("/api")).fetch(vec![link(&vendor, "/a"), link(&vendor, "/b"), announced]).await;
    assert_eq!(fetched.marks, Vec::<String>::new());
    let [a, b, c] = fetched.attachments.as_slice() else { panic!("{fetched:?}") };
    assert!(is_gif(a) && is_gif(c), "what it is announced as counts where the server does not know");
    assert_eq!([a.mark(), b.mark(), c.mark()], ["[image: image]", "[file: a list.csv]", "[image: door.gif]"]);
    let asked = vendor.asked();
    assert!(
        asked.len() == 3 && asked.iter().all(|asked| password_of(asked) == Some("Basic QUMwOnRvaw==")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn where_a_storage_sends_on_to_no_password_is_shown() {
    let other = FakeVendor::answering(|_, asked| match asked.path.as_str() {
        "/cache?signature=1" => sends_on(302, "/kept?signature=2"),
        _ => file("image/gif", "a.gif", GIF),
    });
    let other = other.unwrap();
    // A name that is not the channel's own, and an address that is.
    let elsewhere = format!("http://localhost:{}/cache?signature=1", other.address().port());
    let own = FakeVendor::answering(move |_, asked| match asked.path.as_str() {
        "/media" => sends_on(307, elsewhere.as_str()),
        "/near" => sends_on(301, "/near/file"),
        "/near/file" => file("image/gif", "b.gif", GIF),
        "/far" => sends_on(302, "/far"),
        path => panic!("{path}"),
    });
    let own = own.unwrap();
    let storage = storage(&own.url(""));
    assert!(is_gif(&only(&storage, link(&own, "/media")).await.unwrap()));
    let passwords = |vendor: &FakeVendor| -> Vec<(String, bool)> {
        vendor.asked().iter().map(|asked| (asked.path.clone(), password_of(asked).is_some())).collect()
    };
    let there = [("/cache?signature=1".to_owned(), false), ("/kept?signature=2".to_owned(), false)];
    assert_eq!((passwords(&own), passwords(&other)), (vec![("/media".to_owned(), true)], there.to_vec()));
    assert!(is_gif(&only(&storage, link(&own, "/near")).await.unwrap()));
    assert_eq!(passwords(&own), [("/near".to_owned(), true), ("/near/file".to_owned(), false)]);
    let round = only(&storage, link(&own, "/far")).await;
    assert_eq!(round, Err("[image: could not be read: the channel sends on too often]".to_owned()));
    assert_eq!(own.asked().len(), 1 + REDIRECTS_MAX);
}

#[tokio::test]
async fn no_storage_sends_us_into_our_own_network() {
    let inside = TcpListener::bind("127.0.0.2:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let port = inside.local_addr().unwrap().port();
    let vendor = FakeVendor::answering(move |_, asked| match asked.path.as_str() {
        "/address" => sends_on(302, format!("http://127.0.0.2:{port}/admin")),
        "/credentials" => sends_on(302, "http://169.254.169.254/latest/meta-data/"),
        "/file" => sends_on(302, "file:///etc/passwd"),
        _ => sends_on(302, "http://localhost:1/x"),
    });
    let vendor = vendor.unwrap();
    let mut storage = storage(&vendor.url(""));
    let refused = |host: &str| format!("the channel sends on to {host}, which is no public address with encryption");
    for (path, host) in [("/address", "127.0.0.2"), ("/credentials", "169.254.169.254"), ("/file", "")] {
        let why = storage.read(&link(&vendor, path)).await.unwrap_err();
        assert_eq!(why.to_string(), refused(host), "{path}");
    }
    let told = "[image: could not be read: it lies where nothing is fetched from]";
    assert_eq!(only(&storage, link(&vendor, "/address")).await, Err(told.to_owned()), "addresses are for the log");
    assert_eq!(inside.accept().map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    // A channel elsewhere: the name is judged by its address.
    storage.egress = Arc::new(Egress::default());
    storage.client = storage.egress.client(HeaderMap::new()).unwrap();
    assert_eq!(storage.read(&link(&vendor, "/name")).await.unwrap_err().to_string(), refused("localhost"));
}

/// Answers one request by these bytes and says nothing more.
fn says(head: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = socket.read(&mut request);
        socket.write_all(head.as_bytes()).unwrap();
        // Until the other side goes.
        while socket.read(&mut request).is_ok_and(|bytes| bytes > 0) {}
    });
    address
}

#[tokio::test]
async fn what_is_too_large_is_not_waited_for() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 900000000\r\n\r\n";
    let address = format!("http://{}", says(head));
    let told = Link { kind: Kind::Image, media_type: None, url: format!("{address}/a").into() };
    let too_long = |most: usize| Err(format!("[image: could not be read: it is larger than {most} bytes]"));
    assert_eq!(only(&storage(&address), told).await, too_long(PICTURE_MAX));
    // Without a length, and without an end.
    let endless = |content_type, part: usize| {
        let parts = (0..5).map(move |_| Step::Binary(vec![b'x'; part]));
        Script::Stream { content_type, steps: parts.chain([Step::Stall]).collect() }
    };
    for (content_type, most) in [("image/png", PICTURE_MAX), ("text/plain", FILE_MAX)] {
        let vendor = FakeVendor::start([endless(content_type, most / 4)]).unwrap();
        assert_eq!(only(&storage(&vendor.url("")), link(&vendor, "/a")).await, too_long(most), "{content_type}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    let stream = |content_type, steps: &[Step]| Script::Stream { content_type, steps: steps.to_vec() };
    let html = "the type \"text/html\" is not taken; send image/png, image/jpeg, image/webp, image/gif, text/plain, \
                text/markdown or text/csv";
    for (script, why) in [
        (Script::status(404, "gone"), "the channel does not give it (HTTP 404)"),
        (Script::status(401, "who?"), "the channel does not give it (HTTP 401)"),
        (sends_on(302, "http://["), "its address is none"),
        (
            Script::Status { status: 304, headers: Vec::new(), body: String::new() },
            "the channel does not give it (HTTP 304)",
        ),
        (file("text/html", "login", "<p>Sign in"), html),
        (file("image/png", "login", "<p>Sign in"), "the bytes are no PNG, JPEG, WebP or GIF"),
        (file("text/plain", "empty", ""), "it is empty"),
        (Script::Silence, "it did not come in time"),
        (stream("image/gif", &[Step::Send(GIF.into()), Step::Stall]), "it did not come in time"),
        (stream("image/gif", &[Step::Send(GIF.into()), Step::Die]), "it broke off"),
    ] {
        let vendor = FakeVendor::start([script]).unwrap();
        let mut storage = storage(&vendor.url(""));
        let slow = why.contains("in time");
        storage.patience = if slow { SHORT } else { PATIENCE };
        let read = only(&storage, link(&vendor, "/a")).await;
        assert_eq!(read, Err(format!("[image: could not be read: {why}]")));
    }
    // Nothing listens on this port (tcpmux).
    let nobody = Link { kind: Kind::File, media_type: None, url: "http://127.0.0.1:1/a".to_owned().into() };
    let why = "[file: could not be read: where it lies cannot be reached]";
    assert_eq!(only(&storage("http://127.0.0.1:1"), nobody).await, Err(why.to_owned()));
}

#[test]
fn nothing_is_fetched_from_elsewhere_or_without_encryption() {
    let storage = storage("https://files.example/base");
    assert!(storage.first_address("https://files.example:443/other?x=1").is_ok());
    for url in [
        "http://files.example/a",
        "https://files.example:8443/a",
        "https://files.example.evil.example/a",
        "https://files.example@evil.example/a",
        "https://10.0.0.1/a",
        "ftp://files.example/a",
        "/a",
        "",
    ] {
        assert!(storage.first_address(url).is_err(), "{url}");
    }
    let admitted = |url: &str| storage.admit(Url::parse(url).unwrap()).is_ok();
    for url in ["https://bucket.s3.example/a", "https://8.8.8.8/a", "https://files.example:8443/a"] {
        assert!(admitted(url), "{url}");
    }
    for url in
        ["http://bucket.s3.example/a", "http://files.example/a", "https://10.0.0.1/a", "https://[::1]/a", "data:,x"]
    {
        assert!(!admitted(url), "{url}");
    }
    let inside = self::storage("http://10.0.0.7:3000");
    assert!(inside.admit(Url::parse("http://10.0.0.7:9000/a").unwrap()).is_ok(), "its own storage beside it");
    assert!(inside.admit(Url::parse("http://10.0.0.8:9000/a").unwrap()).is_err());
    assert!(Storage::open("test", "chatwoot.example", &[], None).is_err());
}

#[tokio::test]
async fn hosts_that_the_operator_names_are_open_and_shown_no_password() {
    let vendor = FakeVendor::answering(|_, asked| match asked.path.as_str() {
        "/moved" => sends_on(302, "/a"),
        _ => file("image/gif", "a.gif", GIF),
    });
    let vendor = vendor.unwrap();
    for base_url in ["https://chat.example", "http://chat.example"] {
        assert!(only(&storage(base_url), link(&vendor, "/a")).await.is_err(), "nobody has named it");
        assert!(is_gif(&only(&named(base_url, &["127.0.0.1"]), link(&vendor, "/moved")).await.unwrap()));
    }
    let asked = vendor.asked();
    assert!(asked.len() == 4 && asked.iter().all(|asked| password_of(asked).is_none()), "{asked:?}");
    let storage = named("https://chat.example", &["MinIO.internal", "10.0.0.9", "[fd00::1]"]);
    for url in ["http://minio.internal:9000/a", "https://minio.internal./a", "https://10.0.0.9/a", "http://[fd00::1]/a"]
    {
        assert!(storage.first_address(url).is_ok() && storage.admit(Url::parse(url).unwrap()).is_ok(), "{url}");
    }
    for url in ["http://chat.example/a", "http://10.0.0.8/a", "https://x.minio.internal/a", "ftp://minio.internal/a"] {
        assert!(storage.first_address(url).is_err(), "{url}");
    }
    for url in ["http://bucket.s3.example/a", "https://10.0.0.8/a", "ftp://minio.internal/a"] {
        assert!(storage.admit(Url::parse(url).unwrap()).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_download_without_a_place_is_late() {
    let vendor = FakeVendor::answering(|_, _| file("image/gif", "a.gif", GIF)).unwrap();
    let mut storage = storage(&vendor.url(""));
    (storage.places, storage.patience) = (Semaphore::new(0), SHORT);
    let late = Err("[image: could not be read: it did not come in time]".to_owned());
    assert_eq!(only(&storage, link(&vendor, "/a")).await, late);
    assert_eq!(vendor.asked().len(), 0);
    (storage.places, storage.patience) = (Semaphore::new(1), PATIENCE);
    let fetched = storage.fetch(vec![link(&vendor, "/a"), link(&vendor, "/b"), link(&vendor, "/c")]).await;
    assert_eq!((fetched.attachments.len(), fetched.marks.len()), (3, 0), "one after the other");
    assert_eq!(storage.places.available_permits(), 1);
}

#[tokio::test]
async fn what_the_session_has_no_room_for_is_told() {
    let vendor = FakeVendor::answering(|_, asked| match asked.path.as_str() {
        "/small" => file("image/gif", "small.gif", GIF),
        "/list" => file("text/plain", "list.txt", "x".repeat(FILE_MAX)),
        path => {
            let mut picture = GIF.as_bytes().to_vec();
            picture.resize(if path == "/large" { PICTURE_MAX } else { PICTURE_MAX / 2 }, 0);
            Script::Stream { content_type: "image/gif", steps: vec![Step::Binary(picture)] }
        }
    });
    let vendor = vendor.unwrap();
    let storage = storage(&vendor.url(""));
    let fetch = async |paths: [&str; 4]| {
        let fetched = storage.fetch(paths.map(|path| link(&vendor, path)).to_vec()).await;
        (fetched.attachments.len(), fetched.marks)
    };
    let crowded = "[image: could not be read: there is no room for it beside the newer ones; send it alone]";
    assert_eq!(fetch(["/small", "/large", "/large", "/list"]).await, (3, vec![crowded.to_owned()]), "the older one");
    assert_eq!(fetch(["/large", "/half", "/small", "/small"]).await, (4, vec![]), "as many as fit");
    assert_eq!(fetch(["/list", "/list", "/list", "/small"]).await.1.len(), 1, "of files, too");
}
