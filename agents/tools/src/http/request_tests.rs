//! Requests as they would leave, and the arguments that want to lead elsewhere.

use proptest::prelude::*;
use serde_json::json;
use tandem_contract::Private;

use super::*;

struct Safe;

impl Secrets for Safe {
    fn secret(&self, name: &str, host: &str) -> Result<Private<String>, NoSecret> {
        match (name, host) {
            ("crm", "crm.example") => Ok("s3cret".to_owned().into()),
            ("crm", host) => Err(NoSecret::Elsewhere { name: "crm".into(), host: host.into() }),
            (name, _) => Err(NoSecret::Unknown(name.into())),
        }
    }
}

fn tool(value: Value) -> HttpTool {
    serde_json::from_value(value).unwrap()
}

fn made(http: Value, arguments: Value) -> Result<Request, NoRequest> {
    request(&tool(http), arguments.as_object().unwrap(), &Safe)
}

#[test]
fn arguments_go_where_the_declaration_says() {
    let url = "https://crm.example/customers/{id}";
    let table = [
        (json!({ "url": url }), json!({ "id": 7, "note": "a" }), "POST", "/customers/7", Some(json!({ "note": "a" }))),
        (
            json!({ "url": url, "method": "PUT" }),
            json!({ "id": "a/b?c" }),
            "PUT",
            "/customers/a%2Fb%3Fc",
            Some(json!({})),
        ),
        (json!({ "url": url, "method": "GET" }), json!({ "id": true }), "GET", "/customers/true", None),
        (
            json!({ "url": "https://crm.example/find?v=1", "method": "GET" }),
            json!({ "name": "Ann & Bo", "tags": ["a", "b"], "none": null }),
            "GET",
            "/find?v=1&name=Ann+%26+Bo&tags=a&tags=b",
            None,
        ),
        (
            json!({ "url": url, "method": "DELETE" }),
            json!({ "id": 1, "why": "x" }),
            "DELETE",
            "/customers/1?why=x",
            None,
        ),
        (
            json!({ "url": url, "method": "PATCH", "body": {
                "who": "{id}", "text": "for {name}: {note}", "gone": "{note}", "list": ["{name}", "{gone}", 1], "q": "{ id { x } }",
            } }),
            json!({ "id": 7, "name": "Ann" }),
            "PATCH",
            "/customers/7",
            Some(json!({ "who": 7, "text": "for Ann: ", "list": ["Ann", 1], "q": "{ id { x } }" })),
        ),
    ];
    for (http, arguments, method, path, body) in table {
        let request = made(http.clone(), arguments).unwrap();
        let (url, found) = (request.url.as_str(), request.body);
        assert_eq!(url.strip_prefix("https://crm.example"), Some(path), "{http}");
        assert_eq!((request.method.as_str(), found), (method, body), "{http}");
    }
}

#[test]
fn what_does_not_fit_into_the_url_is_told() {
    let url = "https://crm.example/customers/{id}/orders";
    for (id, told) in [
        (json!(""), "must not be empty"),
        (json!(".."), "must be more than dots"),
        (json!("."), "must be more than dots"),
        (json!(null), "a text or a number"),
        (json!({ "x": 1 }), "a text or a number"),
        (json!(["a"]), "a text or a number"),
    ] {
        let error = made(json!({ "url": url }), json!({ "id": id })).unwrap_err().to_string();
        assert!(error.starts_with("argument id: ") && error.contains(told), "{id}: {error}");
    }
    assert!(made(json!({ "url": url }), json!({})).unwrap_err().to_string().starts_with("argument id"));
    assert_eq!(made(json!({ "url": "https://" }), json!({})).unwrap_err(), NoRequest::Url);
}

#[test]
fn a_secret_goes_to_its_hosts_alone_and_is_shown_to_nobody() {
    let with = |url: &str, value: &str| made(json!({ "url": url, "headers": { "Authorization": value } }), json!({}));
    let request = with("https://CRM.example/x", "Bearer {secret:crm}").unwrap();
    let value = &request.headers["authorization"];
    assert_eq!((value.to_str().unwrap(), value.is_sensitive()), ("Bearer s3cret", true));
    assert!(!format!("{request:?}").contains("s3cret"), "{request:?}");
    let elsewhere = with("https://crm.example.evil/x", "Bearer {secret:crm}").unwrap_err().to_string();
    assert!(elsewhere.contains("not for crm.example.evil"), "{elsewhere}");
    let unknown = with("https://crm.example/x", "{secret:other}").unwrap_err().to_string();
    assert!(unknown.contains("set [secrets.other]"), "{unknown}");
    assert_eq!(with("https://crm.example/", "a\nb").unwrap_err(), NoRequest::Header("Authorization".into()));
    assert_eq!(with("https://crm.example/", "{x}").unwrap().headers["authorization"], "{x}");
}

proptest! {
    /// Whatever a model writes into an argument, the request goes to the same host, and to a path of the same depth.
    #[test]
    fn an_argument_stays_in_its_place(id in any::<String>()) {
        if let Ok(request) = made(json!({ "url": "https://crm.example/a/{id}/b?x={id}" }), json!({ "id": id })) {
            prop_assert_eq!(request.url.host_str(), Some("crm.example"));
            let segments: Vec<_> = request.url.path_segments().unwrap().collect();
            prop_assert_eq!((segments.len(), segments[0], segments[2]), (3, "a", "b"));
            let query: Vec<_> = request.url.query_pairs().collect();
            prop_assert_eq!(&query[..], &[("x".into(), id.as_str().into())]);
            prop_assert_eq!(request.url.fragment(), None);
        }
    }
}
