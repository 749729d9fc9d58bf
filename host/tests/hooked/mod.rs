//! Files of a pool that let somebody else do something before an operation, or fail it, or are not durable.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part")]

use ebbtide::pool::{
    Pool,
    driver::{FileDriver, memory::MemoryStore},
    store::{Lock, Progress, Stat, Store, Wait},
};
use ebbtide_format::units::Bytes;
use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// What happens before an operation, which has a name and a path.
type Hook = dyn Fn(&str, &Path) -> io::Result<()> + Send + Sync;

/// Returns a pool over the files of a store, with a hook before each operation.
pub(crate) fn hooked(
    store: &MemoryStore,
    hook: impl Fn(&str, &Path) -> io::Result<()> + Send + Sync + 'static,
) -> Pool {
    let store = Arc::new(Hooked::new(store.clone(), hook));
    let driver = Box::new(FileDriver::new(Arc::clone(&store) as _));
    Pool::with("/pool".into(), 2, store, driver)
}

/// The files, with a hook before each operation.
pub(crate) struct Hooked<S> {
    inner: S,
    hook: Box<Hook>,
    /// Which files are not made durable when that is asked for.
    forgets: fn(&Path) -> bool,
}

impl<S> Hooked<S> {
    pub(crate) fn new(
        inner: S,
        hook: impl Fn(&str, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, hook: Box::new(hook), forgets: |_| false }
    }

    pub(crate) fn forgetting(self, forgets: fn(&Path) -> bool) -> Self {
        Self { forgets, ..self }
    }
}

impl<S: fmt::Debug> fmt::Debug for Hooked<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

macro_rules! operations {
    ($($name:ident($first:ident: $type:ty $(, $more:ident: $of:ty)*) -> $result:ty;)*) => {
        $(fn $name(&self, $first: $type $(, $more: $of)*) -> $result {
            (self.hook)(stringify!($name), $first)?;
            self.inner.$name($first $(, $more)*)
        })*
    };
}

impl<S: Store> Store for Hooked<S> {
    fn real(&self, path: &Path) -> PathBuf {
        self.inner.real(path)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        (self.hook)("sync_file", path)?;
        if (self.forgets)(path) { Ok(()) } else { self.inner.sync_file(path) }
    }

    operations! {
        names(path: &Path) -> io::Result<Vec<OsString>>;
        stat(path: &Path) -> io::Result<Option<Stat>>;
        read(path: &Path) -> io::Result<Vec<u8>>;
        lock(path: &Path, wait: Wait) -> io::Result<Lock>;
        is_locked(path: &Path) -> io::Result<bool>;
        make_dir(path: &Path) -> io::Result<()>;
        make_image(path: &Path, size: Bytes) -> io::Result<()>;
        clone_image(path: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()>;
        give_out(path: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()>;
        take_in(path: &Path, to: &Path, progress: &mut dyn Progress) -> io::Result<()>;
        write_new(path: &Path, content: &[u8]) -> io::Result<()>;
        link(path: &Path, to: &Path) -> io::Result<()>;
        rename(path: &Path, to: &Path) -> io::Result<()>;
        remove(path: &Path) -> io::Result<()>;
        remove_dir(path: &Path) -> io::Result<()>;
        grow(path: &Path, size: Bytes) -> io::Result<()>;
        set_modified(path: &Path, time: SystemTime) -> io::Result<()>;
        sync_dir(path: &Path) -> io::Result<()>;
    }
}
