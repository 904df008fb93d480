//! Small files of JSON with a checksum.
//!
//! Owns their form: a line of JSON with a `version`, and a line with the xxh3 of the first. Invariant: a file that was cut
//! off or changed is never taken for a whole one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealedError {
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it was written by a newer version of logweir (form {0})")]
    Newer(u32),
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

pub(crate) fn bytes(content: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(content)?;
    let hash = xxh3_64(&bytes);
    bytes.extend_from_slice(format!("\n{hash:016x}\n").as_bytes());
    Ok(bytes)
}

/// Reads a file whose form is `version` or older.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], version: u32) -> Result<T, SealedError> {
    let damaged = |text: &str| SealedError::Damaged(text.to_owned());
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let (json, hash) = text
        .strip_suffix('\n')
        .and_then(|text| text.split_once('\n'))
        .ok_or_else(|| damaged("it is cut off"))?;
    if hash != format!("{:016x}", xxh3_64(json.as_bytes())) {
        return Err(damaged("its checksum does not match"));
    }
    let form = |error: serde_json::Error| SealedError::Damaged(error.to_string());
    let found: Version = serde_json::from_str(json).map_err(form)?;
    if found.version > version {
        return Err(SealedError::Newer(found.version));
    }
    serde_json::from_str(json).map_err(form)
}
