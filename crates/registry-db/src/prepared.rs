//! Queries whose plan a connection keeps.
//!
//! Diesel takes `sql_query`, and inserts and updates of what may be absent, for text that is another one every time: each call
//! has it parsed and planned anew, in a round trip of its own. What runs in every publish and every step says with [`prepared`]
//! that there are few texts of it.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;

/// A query, values and all, of which there are few texts: a connection keeps one statement for each.
///
/// Not for a query whose best plan depends on its values (a filter that is NULL for "any"): after some calls Postgres may
/// settle on one plan for all of them.
pub(crate) const fn prepared<Q>(query: Q) -> Prepared<Q> {
    Prepared(query)
}

pub(crate) struct Prepared<Q>(Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

/// The text is the key in the connection's cache.
impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}
