//! `/openapi.json`: what stands at which path, for programs.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Header, Object, OpenApi as Document, Ref, ResponseBuilder, Type};
use utoipa::{Modify, OpenApi};

use super::{decisions, pages, tiles, view};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "DeepRing gateway",
        version = "1",
        description = "Answers of a dealt ring, each with a certificate that is verified offline: docs/GATEWAY.md",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    paths(
        decisions::decide,
        pages::ring_page,
        pages::validators,
        pages::ledger,
        view::network,
        view::entries,
        view::entry,
        tiles::tile,
        pages::health,
        pages::ready,
        pages::metrics,
    ),
    modifiers(&Bearer, &Guarded),
    security(("key" = [])),
)]
struct Api;

/// Keys are given as RFC 6750 has it.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// Adds to every endpoint the answers of the guard before it.
struct Guarded;

impl Modify for Guarded {
    fn modify(&self, document: &mut Document) {
        let paths = document.paths.paths.values_mut();
        let operations = paths.flat_map(|path| [&mut path.get, &mut path.post]).flatten();
        for operation in operations {
            let needs_key = operation.security.is_none();
            let answered = &mut operation.responses.responses;
            let mut answers = |status: &str, response: ResponseBuilder| {
                let _ =
                    answered.entry(status.to_owned()).or_insert_with(|| response.build().into());
            };
            let wait = header(Type::Integer, "Seconds after which asking again makes sense");
            answers("429", problem("too-many").header("Retry-After", wait.clone()));
            answers("431", problem("bad-request: the head is too long"));
            answers("500", problem("stopped: the gateway is at fault"));
            if needs_key {
                let scheme = header(Type::String, "Bearer");
                answers("401", problem("unauthorised").header("WWW-Authenticate", scheme));
                answers("503", problem("busy, stopped").header("Retry-After", wait));
            }
        }
    }
}

fn problem(words: &str) -> ResponseBuilder {
    let of_problem = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(words).content("application/problem+json", of_problem)
}

fn header(of: Type, description: &str) -> Header {
    let mut header = Header::new(Object::with_type(of));
    header.description = Some(description.to_owned());
    header
}

/// The document's text.
pub(super) fn text() -> String {
    Api::openapi().to_pretty_json().unwrap_or_default() + "\n"
}

pub(super) async fn page() -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text()).into_response()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    const FROZEN: &str = "../../docs/openapi.json";

    /// Whoever changes it on purpose writes it anew: `cargo test -p deepring-node openapi_generate -- --ignored`.
    #[test]
    fn the_document_is_the_one_that_clients_were_made_for() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FROZEN);
        let frozen = std::fs::read_to_string(path).unwrap();
        assert!(frozen == super::text(), "docs/openapi.json is another one:\n{}", super::text());
    }

    #[test]
    #[ignore = "writes docs/openapi.json, which another test compares; `just openapi` runs it"]
    fn openapi_generate() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FROZEN);
        std::fs::write(path, super::text()).unwrap();
    }
}
