//! The landing page `/`: built assets of `web/landing/dist`, embedded.

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Serialize;

use crate::state::{AppState, DEMO_BOT, EnginePart};

/// Everything from here, nothing inline, no frame around it: a script that somebody smuggles into a transcript has no
/// way to run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

struct Asset {
    path: &'static str,
    kind: &'static str,
    body: &'static str,
}

macro_rules! asset {
    ($path:literal, $kind:expr, $file:literal) => {
        Asset { path: $path, kind: $kind, body: include_str!(concat!("../../../web/landing/dist/", $file)) }
    };
}

/// What `npm run build` in `web/landing` makes. Committed, so that the binary builds without Node.
const ASSETS: [Asset; 9] = [
    asset!("/", HTML, "index.html"),
    asset!("/docs/websocket", HTML, "websocket.html"),
    asset!("/landing/app.js", SCRIPT, "app.js"),
    asset!("/landing/capture.js", SCRIPT, "capture.js"),
    asset!("/landing/document.js", SCRIPT, "document.js"),
    asset!("/landing/player.js", SCRIPT, "player.js"),
    asset!("/landing/tap.js", SCRIPT, "tap.js"),
    asset!("/landing/style.css", STYLE, "style.css"),
    asset!("/landing/icon.svg", SVG, "icon.svg"),
];

pub fn router(state: AppState) -> Router {
    let page =
        ASSETS.iter().fold(Router::new(), |router, asset| router.route(asset.path, get(|| async { asset.answer() })));
    page.route("/landing/about.json", get(about)).with_state(state)
}

impl Asset {
    fn answer(&self) -> Response {
        let headers: [(HeaderName, &'static str); 6] = [
            (CONTENT_TYPE, self.kind),
            // 40 KB from memory: asking again each time costs less than a page that is one version behind its server.
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("permissions-policy"), "microphone=(self), camera=(), geolocation=()"),
        ];
        (headers, self.body).into_response()
    }
}

/// What the page tells of this node.
#[derive(Debug, Serialize)]
struct About {
    version: &'static str,
    /// Where to phone the demo bot, seen from where the page was asked for.
    sip: String,
    engines: Vec<Engine>,
}

#[derive(Debug, Serialize)]
struct Engine {
    part: &'static str,
    name: String,
    /// Honest: what it is good for, and what not.
    quality: String,
}

async fn about(State(state): State<AppState>, headers: HeaderMap) -> axum::Json<About> {
    let host = headers.get(header::HOST).map_or("localhost", host_name);
    // With its port, also where it is SIP's default: people copy it into soft phones that ask for one.
    let sip = format!("sip:{DEMO_BOT}@{host}:{}", state.settings.sip.addr.port());
    let engines = state.about.engines.iter().map(|EnginePart { part, info }| Engine {
        part,
        name: info.name.clone(),
        quality: info.quality.clone(),
    });
    axum::Json(About { version: env!("CARGO_PKG_VERSION"), sip, engines: engines.collect() })
}

/// The host of a `Host` header (RFC 9110 section 7.2) without its port.
fn host_name(value: &HeaderValue) -> &str {
    let host = value.to_str().unwrap_or("localhost");
    let end = if host.starts_with('[') { host.find(']').map(|end| end + 1) } else { host.find(':') };
    end.map_or(host, |end| &host[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_goes_without_its_port() {
        for (header, host) in
            [("localhost:8080", "localhost"), ("10.0.0.7", "10.0.0.7"), ("[::1]:8080", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(host_name(&HeaderValue::from_static(header)), host);
        }
    }

    /// The policy forbids what is inline; a page that needs it would be broken and nobody would see why.
    #[test]
    fn pages_have_nothing_inline_and_nothing_foreign() {
        for asset in ASSETS.iter().filter(|asset| asset.kind == HTML) {
            assert!(!asset.body.contains("<script>") && !asset.body.contains("<style"), "{}", asset.path);
            assert!(!asset.body.contains(" style=") && !asset.body.contains(" onclick"), "{}", asset.path);
            for source in asset.body.split("src=\"").skip(1) {
                assert!(source.starts_with("/landing/"), "{}: {}", asset.path, &source[..20]);
            }
        }
    }

    #[test]
    fn what_the_pages_ask_for_is_there() {
        for asset in &ASSETS {
            for part in asset.body.split("\"/landing/").skip(1) {
                let path = format!("/landing/{}", part.split('"').next().unwrap());
                let known = path == "/landing/" || path == "/landing/about.json";
                assert!(known || ASSETS.iter().any(|asset| asset.path == path), "{path} in {}", asset.path);
            }
        }
    }
}
