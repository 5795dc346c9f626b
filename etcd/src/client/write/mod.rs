//! Writes: changes, imports and deletions, each tried until it is applied.

mod archive;
mod attempts;
mod commit;
mod cookie;
mod error;
mod exported;
mod file;
mod import;
mod leased;
mod rollback;
mod serials;
mod stage;
mod transact;
mod update;
mod zones;

pub use cookie::{CookieRead, CookieRotation};
pub use error::ChangeError;
pub use exported::Exported;
pub use file::{FileError, FileText};
pub use import::{ImportHow, ImportMode, Imported};
pub use rollback::Rollback;
pub use serials::Raised;
pub use stage::Progress;
pub use update::Changed;
pub use zones::Removed;
