//! Lists that are served in pages: the common part of tickers and splits.

use serde::Serialize;

use super::{
    call::Call,
    params::Params,
    refusal::Refusal,
    wire::{self, ReferenceBody},
};

/// A list in pages of `limit` rows.
pub(super) struct PagedList<'a> {
    /// The parameters of the list as a whole; together with a marker, they are the cursor.
    pub params: Params,
    pub limit: u32,
    /// The parameter that marks the end of the pages before this one.
    pub marker: &'a str,
}

impl PagedList<'_> {
    /// The rows of this page, and the parameters of the next one, if there is one. `mark` makes the marker of the row
    /// that ends a page, from the number of rows up to it.
    pub fn page<R: Copy>(
        self,
        rows: &[R],
        mark: impl Fn(usize, &R) -> String,
    ) -> Result<(Vec<R>, Option<Params>), Refusal> {
        let marks = |(before, row): (usize, &R), marker: &str| mark(before + 1, row) == marker;
        let start = match self.params.get(self.marker) {
            None => Some(0),
            Some(marker) => rows.iter().enumerate().position(|row| marks(row, marker)).map(|row| row + 1),
        };
        let rest = start.and_then(|start| rows.get(start..)).ok_or(Refusal::UnreadableParameter("cursor"))?;
        let page: Vec<R> = rest.iter().take(self.limit as usize).copied().collect();
        let is_last = page.len() == rest.len();
        let up_to = rows.len() - rest.len() + page.len();
        let last = page.last().filter(|_| !is_last);
        let next = last.map(|row| mark(up_to, row)).map(|marker| self.params.with(self.marker, &marker));
        Ok((page, next))
    }
}

/// The body of a response of the reference endpoints.
pub(super) fn body(
    call: &Call,
    results: impl Serialize,
    count: Option<usize>,
    next: Option<&Params>,
) -> Vec<u8> {
    let next_url = next.map(|params| call.next_url(&call.request.path, params));
    wire::to_json(&ReferenceBody { results, status: "OK", request_id: call.request_id, count, next_url })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_put_together_are_the_list() {
        let rows: Vec<u32> = (0..12).collect();
        for limit in 1..15 {
            let mut params = Params::default();
            let mut joined = Vec::new();
            loop {
                let list = PagedList { params, limit, marker: "ap" };
                let (page, next) = list.page(&rows, |up_to, _| up_to.to_string()).unwrap();
                assert!(!page.is_empty(), "an exactly full page is the last");
                joined.extend(page);
                match next {
                    Some(next) => params = next,
                    None => break,
                }
            }
            assert_eq!(joined, rows);
        }
    }

    #[test]
    fn a_marker_that_no_row_has_is_refused() {
        let list = PagedList { params: Params::default().with("ap", &4), limit: 1, marker: "ap" };
        assert!(list.page(&[1, 2, 3], |up_to, _| up_to.to_string()).is_err());
    }
}
