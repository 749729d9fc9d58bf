//! Where the sockets of a running VM are: a directory that nobody else can enter, with a path short enough for sockets.

use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::store::Inode,
};
use nix::unistd::Uid;
use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// The longest path of a socket, in bytes.
const LONGEST: usize = 107;

/// The directory of one VM.
#[derive(Debug)]
pub(super) struct Runtime {
    dir: PathBuf,
}

impl Runtime {
    /// Makes the directory of the VM whose directory in its pool is `vm`, empty, in that of the user. The caller has the
    /// VM's lock, so whatever is there is of a run that has ended.
    ///
    /// The name is not the VM's UUID, which a copy of a pool has too.
    ///
    /// # Errors
    /// The directory is somebody else's, or its path is too long for sockets.
    pub(super) fn make(vm: Inode) -> Result<Self> {
        let user = Uid::effective();
        let runtime = Self::of(vm);
        make_private(runtime.dir.parent().unwrap_or(&runtime.dir), user)?;
        runtime.check_length()?;
        runtime.remove()?;
        make_private(&runtime.dir, user)?;
        Ok(runtime)
    }

    /// Returns the one of the VM whose directory in its pool is `vm`, which may not be there.
    pub(super) fn of(vm: Inode) -> Self {
        let session = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let base = base(session, Uid::effective(), &env::temp_dir());
        Self { dir: base.join(format!("{:x}-{:x}", vm.device, vm.number)) }
    }

    fn check_length(&self) -> Result<()> {
        let found = self.supervisor().as_os_str().len();
        if found <= LONGEST {
            return Ok(());
        }
        let text = format!(
            "{} has {found} bytes; the path of a socket has {LONGEST} at most",
            self.supervisor().display()
        );
        Err(Refusal::new(RefusalKind::Unable, text)
            .hint("set XDG_RUNTIME_DIR to a shorter path")
            .into())
    }

    /// Returns where the guest's first serial port listens.
    pub(super) fn console(&self) -> PathBuf {
        self.dir.join("console")
    }

    /// Returns where QEMU's monitor listens.
    pub(super) fn monitor(&self) -> PathBuf {
        self.dir.join("qmp")
    }

    /// Returns where the port of the guest's agent listens.
    pub(super) fn agent(&self) -> PathBuf {
        self.dir.join("agent")
    }

    /// Returns where the supervisor listens.
    pub(super) fn supervisor(&self) -> PathBuf {
        self.dir.join("supervisor")
    }

    /// Returns the log of the run.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Removes everything but the log.
    pub(super) fn keep_log(&self) {
        let sockets = [self.agent(), self.console(), self.monitor(), self.supervisor()];
        for path in sockets.into_iter().chain([self.dir.join("attached")]) {
            // What is left is removed by the next start.
            let _ = fs::remove_file(path);
        }
    }

    /// Removes it.
    pub(super) fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(Error::doing(format!("remove {}", self.dir.display()))),
        }
    }
}

/// Returns the directory for all VMs of a user.
fn base(session: Option<PathBuf>, user: Uid, temporary: &Path) -> PathBuf {
    match session.filter(|dir| dir.is_absolute()) {
        Some(dir) => dir.join("ebbtide"),
        None if user.is_root() => "/run/ebbtide".into(),
        None => temporary.join(format!("ebbtide-{user}")),
    }
}

/// Makes a directory that only we may enter, or finds it.
fn make_private(dir: &Path, user: Uid) -> Result<()> {
    let doing = || format!("make directory {}", dir.display());
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::doing(doing())(error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(dir).map_err(Error::doing(doing()))?;
    if found.is_dir() && found.uid() == user.as_raw() && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let text = format!(
        "{} is not a directory of user {user} that nobody else can enter; sockets of VMs would be in it",
        dir.display()
    );
    Err(Refusal::new(RefusalKind::Unable, text).hint("remove it").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_session_s_directory_comes_first() {
        let temporary = Path::new("/tmp");
        let (root, user) = (Uid::from_raw(0), Uid::from_raw(1000));
        let of = |session: Option<&str>, user| base(session.map(PathBuf::from), user, temporary);
        assert_eq!(of(Some("/run/user/1000"), user), Path::new("/run/user/1000/ebbtide"));
        assert_eq!(of(Some("relative"), root), Path::new("/run/ebbtide"));
        assert_eq!(of(None, root), Path::new("/run/ebbtide"));
        assert_eq!(of(None, user), Path::new("/tmp/ebbtide-1000"));
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, open, link) =
            (dir.path().join("mine"), dir.path().join("open"), dir.path().join("link"));
        let user = Uid::effective();
        make_private(&mine, user).unwrap();
        make_private(&mine, user).unwrap();
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&mine, &link).unwrap();
        for other in [&open, &link] {
            let error = make_private(other, user).unwrap_err();
            assert!(error.to_string().contains("nobody else can enter"), "{error}");
        }
        assert!(make_private(&mine, Uid::from_raw(user.as_raw() + 1)).is_err());
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_refused() {
        let runtime = Runtime { dir: "/x".repeat(60).into() };
        let error = runtime.check_length().unwrap_err();
        assert!(error.to_string().contains("has 131 bytes"), "{error}");
        assert!(error.hint().unwrap().contains("XDG_RUNTIME_DIR"));
    }
}
