//! The repository that a path names.

use registry_db::{Connection, pull};
use registry_types::names::PackageName;

use super::caller::Puller;
use super::error::OciError;

/// The repository `publisher/name`, open to this caller.
///
/// # Errors
/// `NAME_UNKNOWN` for what does not exist, is not active or not for this caller; a login is asked for, or the pull denied,
/// only where the package is known to everybody anyway.
pub(super) async fn open(
    conn: &mut Connection,
    puller: &Puller,
    publisher: &str,
    name: &str,
) -> Result<pull::Repository, OciError> {
    let (Ok(publisher), Ok(name)) = (publisher.parse(), name.parse()) else { return Err(OciError::NameUnknown) };
    let repository = pull::repository(conn, &puller.viewer, &PackageName { publisher, name })
        .await
        .map_err(OciError::of_db(OciError::NameUnknown))?;
    if repository.may_pull {
        return Ok(repository);
    }
    Err(if puller.is_anonymous() { OciError::Unauthorized } else { OciError::Denied })
}
