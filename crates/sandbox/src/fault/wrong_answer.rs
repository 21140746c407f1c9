//! Responses that replace the true one.

use clap::ValueEnum;
use hyper::StatusCode;

use super::PickedFault;
use crate::{content::AnswerContent, options::TooManyBody, refusal::Refusal};

/// What is sent in place of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum WrongAnswer {
    /// 500, 502, 503 or 504 with nginx's HTML
    ServerError,
    /// 408 with nginx's HTML
    Timeout,
    /// 429 with or without a Retry-After
    TooMany,
    /// A 400 for a valid request, as in June 2025
    BadRequest,
    /// 200 with the HTML of a proxy or portal
    Html,
    /// A lie: not entitled, says the body of a 200
    NotEntitled,
}

/// Long enough to be noticed, short enough to wait for.
const RETRY_AFTER_SECONDS: u64 = 1;

impl PickedFault<WrongAnswer> {
    /// Status, seconds of a `Retry-After`, and body.
    pub fn answer(&self, request_id: &str) -> (StatusCode, Option<u64>, AnswerContent) {
        match self.kind {
            WrongAnswer::ServerError => gateway(self.seed.draws().pick([
                StatusCode::INTERNAL_SERVER_ERROR,
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ])),
            WrongAnswer::Timeout => gateway(StatusCode::REQUEST_TIMEOUT),
            WrongAnswer::TooMany => {
                let mut draws = self.seed.draws();
                let body = draws.pick([TooManyBody::Json, TooManyBody::Empty]);
                let retry_after = draws.pick([None, Some(RETRY_AFTER_SECONDS)]);
                let refusal = Refusal::TooManyRequests { body, retry_after };
                (refusal.status(), retry_after, refusal.content(request_id))
            }
            WrongAnswer::BadRequest => {
                (StatusCode::BAD_REQUEST, None, Refusal::ToBeforeFrom.content(request_id))
            }
            WrongAnswer::Html => (StatusCode::OK, None, html("Welcome", "Please accept our terms to go on.")),
            WrongAnswer::NotEntitled => (StatusCode::OK, None, Refusal::NotEntitled.content(request_id)),
        }
    }
}

/// A status with the body of the proxy in front of the service (polygon-api.md §1, Errors).
fn gateway(status: StatusCode) -> (StatusCode, Option<u64>, AnswerContent) {
    (status, None, html(&status.to_string(), "nginx/1.19.2"))
}

fn html(title: &str, text: &str) -> AnswerContent {
    AnswerContent::Html(format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr>\
         <center>{text}</center>\r\n</body>\r\n</html>\r\n"
    ))
}
