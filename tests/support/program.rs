//! Programs that may be installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use super::skip::skip;

/// A program that is installed.
#[derive(Debug)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// The program called `name`, if there is one.
    pub(crate) fn find(name: &str) -> Option<Self> {
        // Some are for root only, and stand where only root looks.
        let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let found = env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        if found.is_none() {
            skip(&format!("{name} is not installed"));
        }
        found.map(Self)
    }

    /// Python with the packages that the tests use, in an environment of their own.
    pub(crate) fn python() -> Option<Self> {
        static PYTHON: OnceLock<PathBuf> = OnceLock::new();
        let system = Self::find("python3")?;
        let path = PYTHON.get_or_init(|| python(&system));
        if path.is_file() {
            return Some(Self(path.clone()));
        }
        skip("the packages of tests/foreign_clients/requirements.txt cannot be installed");
        None
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(&self.0)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command().args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{} {arguments:?}: {}\n{}",
            self.0.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Its standard output, when it ends well.
    pub(crate) fn output(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments).stdout).unwrap()
    }

    /// Its standard error, when it ends well.
    pub(crate) fn log(&self, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.run(arguments).stderr).into_owned()
    }
}

/// A folder for what the tests leave behind, below the target folder.
pub(crate) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Where Python is, once its packages are installed; nowhere if they are not.
fn python(system: &Program) -> PathBuf {
    let requirements =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_clients/requirements.txt");
    let wanted = fs::read_to_string(&requirements).unwrap();
    let environment = folder().join("python");
    let python = environment.join("bin/python");
    // Written when everything is there.
    let mark = environment.join("installed");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    // Neither needs to work: what is missing is looked at afterwards.
    let _ = fs::remove_dir_all(&environment);
    let _ = system
        .command()
        .args(["-m", "venv"])
        .arg(&environment)
        .output();
    let installed = Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--only-binary",
            ":all:",
            "-r",
        ])
        .arg(&requirements)
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        return environment.join("missing");
    }
    fs::write(mark, wanted).unwrap();
    python
}
