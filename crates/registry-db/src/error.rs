//! The database layer's one error type.

/// What a call into the database can end with.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The row does not exist, or the caller may not see it.
    #[error("not found")]
    NotFound,
    /// A named constraint refused the change; callers match on the name.
    #[error("constraint {constraint} refused the change")]
    Constraint { constraint: String },
    /// A compare-and-set found another state than expected: someone else was faster, or the lease is lost.
    #[error("the row changed in the meantime")]
    Stale,
    /// No connection could be had, or it broke.
    #[error("database unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored value does not parse into its type: our fault.
    #[error("stored value is not a valid {what}")]
    Corrupt {
        what: &'static str,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Anything else of the driver.
    #[error("query failed")]
    Query(#[source] diesel::result::Error),
}

pub type DbResult<T> = Result<T, DbError>;

impl DbError {
    /// Whether `name` is the constraint that refused the change.
    #[must_use]
    pub fn is_constraint(&self, name: &str) -> bool {
        matches!(self, Self::Constraint { constraint } if constraint == name)
    }

    /// A stored value that does not parse.
    pub(crate) fn corrupt(what: &'static str) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self {
        move |source| Self::Corrupt { what, source: Some(source) }
    }
}

/// Parses a stored word back into its type.
pub(crate) fn stored<T>(what: &'static str, text: &str) -> DbResult<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|e| DbError::corrupt(what)(Box::new(e)))
}

impl From<diesel::result::Error> for DbError {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as Kind, Error};
        match error {
            Error::NotFound => Self::NotFound,
            // The driver's word for a connection that broke under a statement is the second.
            Error::DatabaseError(Kind::ClosedConnection | Kind::UnableToSendCommand, _)
            | Error::BrokenTransactionManager => Self::Unavailable(Box::new(error)),
            Error::DatabaseError(Kind::Unknown, ref info) if tells_of_a_stop(info.message()) => {
                Self::Unavailable(Box::new(error))
            }
            Error::DatabaseError(
                Kind::UniqueViolation | Kind::ForeignKeyViolation | Kind::CheckViolation | Kind::ExclusionViolation,
                ref info,
            ) => match info.constraint_name() {
                Some(name) => Self::Constraint { constraint: name.to_owned() },
                None => Self::Query(error),
            },
            other => Self::Query(other),
        }
    }
}

/// What a server says that stops, crashes or starts (SQLSTATE 57P01 to 57P03, which the driver keeps to itself).
fn tells_of_a_stop(message: &str) -> bool {
    message.starts_with("terminating connection") || message.starts_with("the database system is")
}
