//! Parses the error of a refused request or item.
//!
//! Owns the shapes in which the servers write errors: Elasticsearch and OpenSearch `{"error":{"type":…,"reason":…}}` with
//! nested causes, or `{"error":"text"}`; Kibana and OpenSearch Dashboards `{"statusCode":…,"error":"Not Found",
//! "message":"text"}`. Refuses to know what an error means. Invariant: a body of any other shape, such as a proxy's page,
//! is quoted as it is, in bounded length. It guards against "400" as the whole message.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::text;

/// Most bytes of a reason that [`describe`] shows; servers put whole stack traces into it.
const REASON_BYTES: usize = 1024;

/// An error as a server writes it, or the cause of one.
#[derive(Debug, Default)]
pub(crate) struct ServerError<'a> {
    /// Snake-case name of the exception; Kibana has none.
    pub(crate) kind: Text<'a>,
    /// The message.
    pub(crate) reason: Text<'a>,
    /// Why the credentials are not accepted. In a 401 only this reports that an API key has expired.
    credentials: Text<'a>,
    caused_by: Option<Box<Self>>,
}

/// A string that is borrowed from the response unless it has escapes; empty when the value is no string.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> ServerError<'a> {
    /// The error of a refused request. Where the body has none, its beginning is the reason.
    pub(crate) fn read(body: &'a [u8]) -> Self {
        let (error, message) = (serde_json::from_slice(body), serde_json::from_slice(body));
        Self::choose(error.ok(), message.ok())
            .unwrap_or_else(|| Self::of_text(excerpt(body).into()))
    }

    /// The error of a part of a response, in the shape of a whole body.
    pub(crate) fn of_value(body: &'a Value) -> Option<Self> {
        let error = ErrorMember::deserialize(body).ok();
        Self::choose(error, MessageMember::deserialize(body).ok())
    }

    fn choose(error: Option<ErrorMember<'a>>, message: Option<MessageMember<'a>>) -> Option<Self> {
        match (error, message) {
            (Some(ErrorMember { error }), _) if !error.kind.is_empty() => Some(error),
            // Kibana's `error` is only the name of the status.
            (_, Some(MessageMember { message })) => Some(Self::of_text(message.0)),
            (error, None) => error.map(|member| member.error),
        }
    }

    fn of_text(reason: Cow<'a, str>) -> Self {
        Self {
            reason: Text(reason),
            ..Self::default()
        }
    }

    /// The message of the cause; empty without one.
    pub(crate) fn cause_reason(&self) -> &str {
        match &self.caused_by {
            _ if !self.credentials.is_empty() => &self.credentials,
            Some(cause) => &cause.reason,
            None => "",
        }
    }

    /// Type and reason of the innermost cause. The outer causes state only that something is wrong (`composable template
    /// [x] template after composition is invalid`).
    pub(crate) fn root_cause(&self) -> Option<String> {
        let mut cause = self;
        while let Some(inner) = &cause.caused_by {
            cause = inner;
        }
        let reason = match cause.credentials.is_empty() {
            true => &cause.reason,
            false => &cause.credentials,
        };
        match (cause.kind.is_empty(), reason.is_empty()) {
            (true, true) => None,
            (true, false) => Some(reason.to_string()),
            (false, true) => Some(cause.kind.to_string()),
            (false, false) => Some(format!("{}: {}", &*cause.kind, &**reason)),
        }
    }
}

/// Why a request was refused, on one line that is safe for a terminal.
pub(crate) fn describe(body: &[u8]) -> String {
    match ServerError::read(body).root_cause() {
        Some(cause) => text::excerpt(cause.as_bytes(), REASON_BYTES),
        None => excerpt(body),
    }
}

/// The beginning of an unexpected body, on one line that is safe for a terminal.
pub(crate) fn excerpt(body: &[u8]) -> String {
    if body.is_empty() {
        return "an empty body".to_owned();
    }
    text::excerpt(body, text::EXCERPT_BYTES)
}

#[derive(Deserialize)]
struct ErrorMember<'a> {
    #[serde(borrow)]
    error: ServerError<'a>,
}

#[derive(Deserialize)]
struct MessageMember<'a> {
    #[serde(borrow)]
    message: Text<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        json.deserialize_any(Any)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ServerError<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = ServerError<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an error")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<ServerError<'de>, E> {
                Ok(ServerError::of_text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<ServerError<'de>, E> {
                Ok(ServerError::of_text(Cow::Owned(text.to_owned())))
            }

            fn visit_map<M: MapAccess<'de>>(
                self,
                mut map: M,
            ) -> Result<ServerError<'de>, M::Error> {
                let mut error = ServerError::default();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    match &*key {
                        "type" => error.kind = map.next_value()?,
                        "reason" => error.reason = map.next_value()?,
                        "caused_by" => error.caused_by = Some(map.next_value()?),
                        "additional_unsuccessful_credentials" => {
                            error.credentials = map.next_value()?;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(error)
            }
        }
        json.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_error_of_a_whole_request_is_read_in_all_its_shapes() {
        let error = ServerError::read(
            br#"{"error":{"root_cause":[],"type":"a","reason":"b"},"status":429}"#,
        );
        assert_eq!((&*error.kind, &*error.reason), ("a", "b"));
        assert_eq!(
            &*ServerError::read(br#"{"error":"no handler found","status":400}"#).reason,
            "no handler found"
        );
        let key = br#"{"error":{"type":"a","reason":"b","additional_unsuccessful_credentials":"API key: api key is expired"}}"#;
        assert_eq!(
            ServerError::read(key).cause_reason(),
            "API key: api key is expired"
        );
        assert_eq!(&*ServerError::read(b"Unauthorized").reason, "Unauthorized");
        assert_eq!(&*ServerError::read(b"").reason, "an empty body");
    }

    #[test]
    fn a_refusal_is_described_by_its_innermost_cause() {
        for (body, description) in [
            (
                r#"{"error":{"type":"a","reason":"outer","caused_by":{"type":"b","reason":"inner"}}}"#,
                "b: inner",
            ),
            (
                r#"{"error":{"type":"a","caused_by":{"type":"b","caused_by":{"reason":"deep"}}}}"#,
                "deep",
            ),
            (r#"{"error":{"type":"a"},"status":400}"#, "a"),
            (
                r#"{"error":{"type":"a","reason":"b","additional_unsuccessful_credentials":"expired"}}"#,
                "a: expired",
            ),
            (r#"{"error":"no handler found"}"#, "no handler found"),
            (
                r#"{"statusCode":404,"error":"Not Found","message":"no such space"}"#,
                "no such space",
            ),
            // what is no text is not shown as one
            (r#"{"error":{"type":"a","reason":"b"},"message":5}"#, "a: b"),
            (r#"{"error":5,"message":"text"}"#, "text"),
            (r#"{"error":{}}"#, r#"{"error":{}}"#),
            (
                r#"{"status":"UNAUTHORIZED"}"#,
                r#"{"status":"UNAUTHORIZED"}"#,
            ),
            ("<html>\n502", "<html> 502"),
            ("", "an empty body"),
        ] {
            assert_eq!(describe(body.as_bytes()), description, "{body}");
        }
    }

    #[test]
    fn an_error_within_a_response_has_the_same_shapes() {
        let described = |body: Value| ServerError::of_value(&body)?.root_cause();
        let kibana = json!({"statusCode": 403, "error": "Forbidden", "message": "no"});
        assert_eq!(described(kibana).as_deref(), Some("no"));
        assert_eq!(described(json!({"error": "text"})).as_deref(), Some("text"));
        assert_eq!(described(json!({"type": "conflict"})), None);
    }

    #[test]
    fn a_long_error_is_cut() {
        let body = json!({"error": {"type": "a", "reason": "r".repeat(100_000)}}).to_string();
        assert!(describe(body.as_bytes()).len() < 2 * REASON_BYTES);
        assert!(describe("x".repeat(100_000).as_bytes()).len() < 2 * text::EXCERPT_BYTES);
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(rubbish in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = describe(&rubbish);
        }
    }
}
