//! The parameters of a request, and the cursor that passes them to the next page.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use url::form_urlencoded;

use super::refusal::Refusal;

/// The order of the rows of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SortOrder {
    Ascending,
    Descending,
}

impl SortOrder {
    /// The parameter's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }
}

/// Parameters by name, in alphabetical order as in the service's cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Params(BTreeMap<String, String>);

/// The parameter that every cursor of the sandbox has: a text without it is not a cursor.
const LIMIT: &str = "limit";

impl Params {
    /// Reads `limit=5&sort=asc`.
    pub fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Returns the effective parameters: these, or, if one of them is a cursor, the parameters inside of it.
    pub fn behind_cursor(self) -> Result<Self, Refusal> {
        let Some(cursor) = self.get("cursor") else { return Ok(self) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let inside = text.map(|text| Self::parse(&text)).filter(|inside| inside.get(LIMIT).is_some());
        inside.ok_or(Refusal::UnreadableParameter("cursor"))
    }

    /// These parameters as a cursor: unpadded base64url of the query, as the service makes it.
    pub fn cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.query())
    }

    /// These parameters as a query.
    pub fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// Adds a parameter, or replaces the one with its name.
    pub fn with(mut self, name: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    /// Removes a parameter.
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A boolean, in the forms that Go accepts.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(_) => Err(Refusal::UnreadableParameter(name)),
        }
    }

    /// An order, `asc` or `desc`.
    pub fn order(&self, name: &'static str, default: SortOrder) -> Result<SortOrder, Refusal> {
        match self.get(name) {
            None => Ok(default),
            Some("asc") => Ok(SortOrder::Ascending),
            Some("desc") => Ok(SortOrder::Descending),
            Some(_) => Err(Refusal::UnreadableParameter(name)),
        }
    }

    /// One of several words, the first of which is the default.
    pub fn choice<const N: usize>(
        &self,
        name: &'static str,
        choices: [&'static str; N],
    ) -> Result<&'static str, Refusal> {
        let word = self.get(name).or(choices.first().copied());
        choices.into_iter().find(|choice| word == Some(choice)).ok_or(Refusal::UnreadableParameter(name))
    }

    /// The number of rows on a page. More than `most` counts as `most` (polygon-api.md §1, uncertain).
    pub fn limit(&self, default: u32, most: u32) -> Result<u32, Refusal> {
        let limit = self.get(LIMIT).map_or(Ok(default), str::parse).ok().filter(|limit| *limit > 0);
        limit.map(|limit| limit.min(most)).ok_or(Refusal::UnreadableParameter(LIMIT))
    }

    /// Whether a row passes the comparisons with one of its fields: `ticker`, `ticker.gt`, `ticker.any_of` and so on.
    ///
    /// Texts are compared, which orders symbols and ISO dates.
    pub fn admit(&self, field: &str, value: &str) -> bool {
        let holds = |comparison: &str, test: fn(&str, &str) -> bool| {
            self.get(&format!("{field}{comparison}")).is_none_or(|bound| test(value, bound))
        };
        holds("", |value, bound| value == bound)
            && holds(".gt", |value, bound| value > bound)
            && holds(".gte", |value, bound| value >= bound)
            && holds(".lt", |value, bound| value < bound)
            && holds(".lte", |value, bound| value <= bound)
            && holds(".any_of", |value, bounds| bounds.split(',').any(|bound| value == bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(cursor: &str) -> Result<Params, Refusal> {
        Params::parse(&format!("cursor={cursor}")).behind_cursor()
    }

    #[test]
    fn cursors_as_they_were_recorded() {
        for (query, cursor) in [
            ("limit=5&sort=asc", "bGltaXQ9NSZzb3J0PWFzYw"),
            ("limit=2&sort=asc", "bGltaXQ9MiZzb3J0PWFzYw"),
            ("limit=5000&sort=asc", "bGltaXQ9NTAwMCZzb3J0PWFzYw"),
            // The first letters of the tickers' cursor in the official client's mocks.
            ("active=true&date=2022-04-27&limit=2", "YWN0aXZlPXRydWUmZGF0ZT0yMDIyLTA0LTI3JmxpbWl0PTI"),
        ] {
            assert_eq!(Params::parse(query).cursor(), cursor);
            assert_eq!(inside(cursor).unwrap(), Params::parse(query));
        }
    }

    #[test]
    fn parameters_are_in_order_and_escaped() {
        let params = Params::parse("sort=ticker&limit=2").with("page_marker", "AA|f1");
        let text = URL_SAFE_NO_PAD.decode(params.cursor()).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "limit=2&page_marker=AA%7Cf1&sort=ticker");
    }

    #[test]
    fn a_cursor_hides_the_parameters_beside_it() {
        let params = Params::parse("limit=9&cursor=bGltaXQ9NSZzb3J0PWFzYw").behind_cursor().unwrap();
        assert_eq!(params, Params::parse("limit=5&sort=asc"));
    }

    #[test]
    fn garbage_is_no_cursor() {
        for garbage in ["", "x", "!!!!", "____", "QUJD", "bGltaXQ9NSZzb3J0PWFzYw%3D%3D"] {
            assert_eq!(inside(garbage), Err(Refusal::UnreadableParameter("cursor")), "{garbage:?}");
        }
    }

    #[test]
    fn limits() {
        let limit = |query| Params::parse(query).limit(100, 1000);
        assert_eq!([limit(""), limit("limit=7"), limit("limit=60000")], [Ok(100), Ok(7), Ok(1000)]);
        for odd in ["limit=0", "limit=-1", "limit=", "limit=many"] {
            assert_eq!(limit(odd), Err(Refusal::UnreadableParameter("limit")), "{odd}");
        }
    }

    #[test]
    fn comparisons() {
        let admitted =
            |query| ["A", "AA", "AAPL", "B"].map(|ticker| Params::parse(query).admit("ticker", ticker));
        assert_eq!(admitted(""), [true, true, true, true]);
        assert_eq!(admitted("ticker=AA"), [false, true, false, false]);
        assert_eq!(admitted("ticker.gt=A&ticker.lt=B"), [false, true, true, false]);
        assert_eq!(admitted("ticker.gte=AA&ticker.lte=B"), [false, true, true, true]);
        assert_eq!(admitted("ticker.any_of=A,B"), [true, false, false, true]);
    }
}
