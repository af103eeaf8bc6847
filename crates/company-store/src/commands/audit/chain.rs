//! The audit log's chain, computed here from what the store shows.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use registry_types::audit::{ChainedEntry, chain_hash};
use registry_types::digest::Digest;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::dsse::verified_payload;
use crate::output::text;

const CHECKPOINT: &str = "application/vnd.company-store.audit-checkpoint+json";

/// A place of the chain and the hash there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedHead {
    pub sequence: i64,
    pub hash: Digest,
}

impl fmt::Display for NotedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.hash)
    }
}

impl FromStr for NotedHead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sequence, hash) = text.split_once(':').ok_or("expected SEQUENCE:HASH")?;
        let sequence = sequence.parse().map_err(|_| "the sequence is not a number")?;
        Ok(Self { sequence, hash: hash.parse().map_err(|e| format!("the hash: {e}"))? })
    }
}

#[derive(Deserialize)]
struct Entry {
    id: i64,
    at: DateTime<Utc>,
    organization_id: Option<Uuid>,
    actor: String,
    credential: Option<String>,
    address: Option<String>,
    action: String,
    subject: String,
    details: Value,
    sequence: i64,
    hash: Digest,
}

/// Takes the entries one after the other; the first that does not fit ends it.
pub(super) struct AuditChain {
    /// What the chain must hold, by place: signed checkpoints, and what was noted.
    expected: BTreeMap<i64, Digest>,
    head: Option<NotedHead>,
}

impl AuditChain {
    /// # Errors
    /// When a checkpoint is not signed by one of the keys, or says something else than its envelope.
    pub(super) fn new(checkpoints: &[Value], keys: &[String], noted: Option<NotedHead>) -> Result<Self, String> {
        let mut expected = BTreeMap::new();
        for NotedHead { sequence, hash } in checkpoints
            .iter()
            .map(|checkpoint| signed_head(checkpoint, keys))
            .chain(noted.map(Ok))
            .collect::<Result<Vec<_>, _>>()?
        {
            if expected.insert(sequence, hash.clone()).is_some_and(|other| other != hash) {
                return Err(format!("the hash of entry {sequence} is signed, and noted, as two different ones"));
            }
        }
        Ok(Self { expected, head: None })
    }

    /// # Errors
    /// When the entry is not the next one, was altered, or differs from what was signed.
    pub(super) fn extend(&mut self, line: &[u8]) -> Result<(), String> {
        let entry: Entry = serde_json::from_slice(line).map_err(|e| format!("an entry cannot be read: {e}"))?;
        let place = self.head.as_ref().map_or(0, |head| head.sequence) + 1;
        if entry.sequence != place {
            return Err(format!("entry {place} of the audit log is missing: {} follows", entry.sequence));
        }
        let hash = chain_hash(self.head.as_ref().map(|head| &head.hash), &entry.chained());
        if hash != entry.hash {
            return Err(format!(
                "entry {place} of the audit log ({}, {}) was altered, or one before it",
                entry.action, entry.at
            ));
        }
        if self.expected.remove(&place).is_some_and(|signed| signed != hash) {
            return Err(format!(
                "entry {place} of the audit log is not the one that was signed: the log was written anew"
            ));
        }
        self.head = Some(NotedHead { sequence: place, hash });
        Ok(())
    }

    /// # Errors
    /// When entries are missing at the end.
    pub(super) fn finish(self) -> Result<NotedHead, String> {
        if let Some(missing) = self.expected.keys().next() {
            return Err(format!("the audit log ends before entry {missing}, which once stood in it"));
        }
        self.head.ok_or_else(|| "the audit log has no chained entry yet; are workers running?".to_owned())
    }
}

impl Entry {
    fn chained(&self) -> ChainedEntry<'_> {
        ChainedEntry {
            sequence: self.sequence,
            id: self.id,
            at_micros: self.at.timestamp_micros(),
            organization: self.organization_id,
            actor: &self.actor,
            credential: self.credential.as_deref(),
            address: self.address.as_deref(),
            action: &self.action,
            subject: &self.subject,
            details: &self.details,
        }
    }
}

fn signed_head(checkpoint: &Value, keys: &[String]) -> Result<NotedHead, String> {
    let place = &checkpoint["sequence"];
    let payload = verified_payload(&checkpoint["envelope"], CHECKPOINT, keys)
        .map_err(|wrong| format!("the audit log's checkpoint {place} {wrong}"))?;
    let sequence = payload["sequence"].as_i64().ok_or_else(|| format!("checkpoint {place} names no place"))?;
    let hash = text(&payload, "/hash").parse().map_err(|e| format!("checkpoint {place}: {e}"))?;
    if *place != sequence || text(checkpoint, "/hash") != text(&payload, "/hash") {
        return Err(format!("checkpoint {place} says something else than what was signed"));
    }
    Ok(NotedHead { sequence, hash })
}
