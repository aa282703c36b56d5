//! `/ledger/`: the log as the static files of c2sp.org/tlog-tiles, for auditors and witnesses.

use std::io::ErrorKind;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use deepring::files::read_plain;
use tokio::task::spawn_blocking;

use super::decisions::FileBytes;
use super::front::Front;
use super::problem::{Problem, ProblemType};

/// Most bytes of a file that is given out.
const MAX_FILE: u64 = 64 << 20;
/// Most characters of a path.
const MAX_PATH: usize = 128;

/// A file of the log: `checkpoint`, or a tile. There is no list of them.
#[utoipa::path(
    get,
    path = "/ledger/{path}",
    params(("path" = String, Path, description = "checkpoint, or tile/L/N[.p/W], or tile/entries/N[.p/W]")),
    responses(
        (status = 200, description = "The file: a checkpoint is text", content(
            (String = "text/plain"),
            (FileBytes = "application/octet-stream"),
        )),
        (status = 404, description = "bad-request: there is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn tile(State(front): State<Arc<Front>>, uri: Uri) -> Result<Response, Problem> {
    // As it was written: a path of the log's form has nothing to decode, and what cannot be decoded is no fault of axum's to tell.
    let path = uri.path().strip_prefix("/ledger/").filter(|path| is_of_the_log(path));
    let path = path.ok_or_else(no_such_file)?;
    let checkpoint = path == "checkpoint";
    let file = front.tiles.join(path);
    let read = spawn_blocking(move || read_plain(&file, MAX_FILE)).await;
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(e))
            if matches!(
                e.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
            ) =>
        {
            return Err(no_such_file());
        }
        Ok(Err(e)) => {
            tracing::warn!(error = %e, "a file of the log cannot be read");
            return Err(Problem::stopped("the file cannot be read"));
        }
        Err(_) => return Err(Problem::stopped("this node is stopping")),
    };
    let (kind, age) = match checkpoint {
        true => ("text/plain; charset=utf-8", "max-age=1"),
        false => ("application/octet-stream", "max-age=31536000, immutable"),
    };
    let shared = if front.private { "private" } else { "public" };
    let kept = HeaderValue::from_str(&format!("{shared}, {age}"));
    let kept = kept.unwrap_or(HeaderValue::from_static("no-store"));
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(kind)), (CACHE_CONTROL, kept)], bytes)
        .into_response())
}

fn no_such_file() -> Problem {
    Problem::new(ProblemType::BadRequest, StatusCode::NOT_FOUND, "the log has no such file")
}

/// Whether a path has the form of the log's files; it then leads to no other folder.
fn is_of_the_log(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.'))
    };
    path == "checkpoint"
        || (path.len() <= MAX_PATH && path.starts_with("tile/") && path.split('/').all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_log() {
        for good in ["checkpoint", "tile/0/000", "tile/1/x001/x234/067.p/8", "tile/entries/000.p/1"]
        {
            assert!(is_of_the_log(good), "{good}");
        }
        for bad in [
            "",
            "tile",
            "tile/",
            "log.pub",
            "checkpoint/",
            "tile//0",
            "tile/../log.redb",
            "tile/./0",
            "tile/.0",
            "tile/0\\..",
            "tile/%2e%2e/x",
            "tile/0\0",
            "/tile/0",
            "tile/A",
            &format!("tile/{}", "0".repeat(MAX_PATH)),
        ] {
            assert!(!is_of_the_log(bad), "{bad}");
        }
    }
}
