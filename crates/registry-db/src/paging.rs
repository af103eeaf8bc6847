//! One page of a list, and where the next one begins.

/// Some rows and where the next ones begin; `next` is `None` on the last page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T, C> {
    pub items: Vec<T>,
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// From one row more than the page holds, which proves that a next page exists.
    pub(crate) fn from_rows(mut rows: Vec<T>, size: usize, cursor: impl FnOnce(&T) -> C) -> Self {
        let has_next = rows.len() > size;
        rows.truncate(size);
        let next = if has_next { rows.last().map(cursor) } else { None };
        Self { items: rows, next }
    }

    #[must_use]
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U, C> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// One row more than the page holds.
pub(crate) fn one_more(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX - 1) + 1
}
