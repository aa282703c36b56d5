//! Requests to a gateway, and its answers; nothing of them is verified here.

use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use deepring::files::{InLine, read_plain_text};
use deepring::{Digest, TensorSpec, TensorValue};
use deepring_infer::inputs::{JsonTensor, TensorText};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cli::QueryArgs;
use crate::error::{CliError, Exit};
use crate::http::{Address, Client, ClientConfig, Response};

/// Most bytes of an answer: a certificate of the largest decision, and outputs of a batch.
const MAX_ANSWER: u64 = 64 << 20;
/// Most bytes of a file with a key that a gateway knows its clients by.
const MAX_API_KEY: u64 = 1 << 12;
/// Most characters of a gateway's own words that are shown.
const MAX_WORDS: usize = 300;

/// A gateway that is to be asked.
pub(super) struct GatewayClient {
    client: Client,
    address: Address,
    key: Option<Zeroizing<String>>,
}

/// The question.
pub(super) struct Asking<'a> {
    pub(super) nonce: Digest,
    pub(super) queries: &'a [Vec<TensorValue>],
}

/// The answer, as the gateway says.
pub(super) struct Told {
    pub(super) outputs: Vec<Vec<TensorValue>>,
    pub(super) certificate: Vec<u8>,
}

#[derive(Serialize)]
struct Question<'a> {
    nonce: Digest,
    batch: Vec<Vec<JsonTensor<'a>>>,
}

#[derive(Deserialize)]
struct RingText {
    inputs: Vec<TensorSpec>,
}

#[derive(Deserialize)]
struct AnswerText<'a> {
    #[serde(borrow)]
    outputs: Vec<Vec<TensorText<'a>>>,
    certificate: String,
}

/// A document of RFC 9457.
#[derive(Deserialize)]
struct ProblemText {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    detail: String,
}

impl GatewayClient {
    pub(super) fn of(args: &QueryArgs) -> Result<Self, CliError> {
        let address = Address::parse(&args.url, "gateway")?;
        let shown = args.client_cert.as_deref().zip(args.client_key.as_deref());
        if !address.is_secure() {
            if args.ca_cert.is_some() || shown.is_some() {
                let message = "certificates are for https://, which the URL does not begin with";
                return Err(CliError::usage(message));
            }
            if !address.is_loopback() && !args.insecure_http {
                let message = format!("{} would be asked in the clear", args.url);
                return Err(CliError::usage(message).hint(
                    "ask over https://; `--insecure-http` lets everybody on the way read inputs, outputs and key",
                ));
            }
        }
        let client = Client::new(&ClientConfig {
            ca_cert: args.ca_cert.as_deref(),
            shown,
            whole: Duration::from_secs(args.timeout),
            answer: MAX_ANSWER,
            // A proxy is on another machine, as a rule.
            by_proxy: !address.is_loopback(),
        })?;
        let key = args.api_key_file.as_deref().map(api_key).transpose()?;
        Ok(Self { client, address, key })
    }

    fn key(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.as_str())
    }

    /// The network's inputs, as the gateway calls them.
    pub(super) fn inputs(&self) -> Result<Vec<TensorSpec>, CliError> {
        let url = self.address.at("v1/ring");
        let answer = self.client.get(&url, self.key())?;
        refuse_problem(&url, &answer)?;
        let ring: RingText =
            serde_json::from_slice(&answer.body).map_err(|e| no_gateway(&url, &e))?;
        Ok(ring.inputs)
    }

    /// Asks.
    pub(super) fn decide(&self, asking: &Asking<'_>) -> Result<Told, CliError> {
        let url = self.address.at("v1/decisions");
        let batch = asking.queries.iter().map(|q| q.iter().map(JsonTensor).collect()).collect();
        let question = Question { nonce: asking.nonce, batch };
        let body = serde_json::to_vec(&question).map_err(|e| CliError::new(Exit::Failed, e))?;
        let answer = self.client.post(&url, ("application/json", &body), self.key())?;
        drop(body);
        refuse_problem(&url, &answer)?;
        let text: AnswerText<'_> =
            serde_json::from_slice(&answer.body).map_err(|e| no_gateway(&url, &e))?;
        let certificate =
            BASE64_STANDARD.decode(&text.certificate).map_err(|e| no_gateway(&url, &e))?;
        let outputs = text
            .outputs
            .into_iter()
            .map(|query| query.into_iter().map(TensorText::value).collect())
            .collect::<Result<_, _>>()
            .map_err(|e| no_gateway(&url, &e))?;
        Ok(Told { outputs, certificate })
    }
}

/// Refuses an answer that is none, with the gateway's own words.
fn refuse_problem(url: &str, answer: &Response) -> Result<(), CliError> {
    if answer.status == 200 {
        return Ok(());
    }
    let problem = match answer.content_type.as_str() {
        "application/problem+json" => serde_json::from_slice::<ProblemText>(&answer.body).ok(),
        _ => None,
    };
    let words = problem.map_or_else(String::new, |problem| {
        let said: String = problem.detail.chars().take(MAX_WORDS).collect();
        let kind: String = problem.kind.chars().take(MAX_WORDS).collect();
        format!(", {}: {}", InLine(kind), InLine(said))
    });
    let e = CliError::new(
        Exit::Failed,
        format!("{url} gives no answer (status {}{words})", answer.status),
    );
    Err(match answer.status {
        401 => e.hint("give the key that the gateway's keeper gave you with `--api-key-file`"),
        300..=399 => e.hint("it points elsewhere, which is not followed: name the gateway itself"),
        _ => e,
    })
}

fn no_gateway(url: &str, e: &dyn std::fmt::Display) -> CliError {
    CliError::new(Exit::Failed, format!("{url} answers otherwise than a gateway: {e}"))
}

/// The key in a file, which no header can be broken with.
fn api_key(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let failed =
        |e: &dyn std::fmt::Display| CliError::new(Exit::Failed, format!("{}: {e}", path.display()));
    let text = Zeroizing::new(read_plain_text(path, MAX_API_KEY).map_err(|e| failed(&e))?);
    let key = Zeroizing::new(text.trim().to_owned());
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic()) {
        return Err(failed(&"is no key: one word of visible ASCII characters"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_err(|e| failed(&e))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(failed(&format_args!(
                "mode {mode:04o} lets others than you read or change this key"
            ))
            .hint(format!("chmod 600 {}", path.display())));
        }
    }
    Ok(key)
}
