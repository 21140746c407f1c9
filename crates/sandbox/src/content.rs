//! The content of a response, apart from its status and its headers.

/// The body of a response.
pub(super) enum AnswerContent {
    Json(Vec<u8>),
    Text(String),
    Html(String),
    /// No body and no content type.
    Nothing,
}

impl AnswerContent {
    /// The `Content-Type`. None if there is no body.
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) => Some("application/json"),
            Self::Text(_) => Some("text/plain; charset=utf-8"),
            Self::Html(_) => Some("text/html"),
            Self::Nothing => None,
        }
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Json(bytes) => bytes,
            Self::Text(text) | Self::Html(text) => text.into_bytes(),
            Self::Nothing => Vec::new(),
        }
    }
}
