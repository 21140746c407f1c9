//! What an answer says, apart from its status and its headers.

/// The body of an answer.
pub(super) enum AnswerContent {
    Json(Vec<u8>),
    Text(String),
    Html(String),
    /// Not even a type.
    Nothing,
}

impl AnswerContent {
    /// The `Content-Type`, if there is a body.
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
