//! A Debian of the release of this machine, as it is after its installation: what the tests install the package in.
//!
//! It comes from where this machine's apt gets its packages, and is made anew each day.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{apt, paths, step};

/// What a gateway has besides the base system: a service manager, `sudo`, and something that records packets.
const INCLUDED: &str = "systemd,systemd-sysv,dbus,sudo,iproute2,tcpdump,ethtool";

/// The directory, if it is complete and of today.
pub(crate) fn find() -> Result<Option<PathBuf>> {
    let directory = directory()?;
    Ok(directory.join(COMPLETE).is_file().then_some(directory))
}

const COMPLETE: &str = "var/lib/banchi-clean-root";

/// Makes the directory.
pub(crate) fn install() -> Result<()> {
    let directory = directory()?;
    if !apt::is_root() {
        bail!("only root can make {}", directory.display());
    }
    let parent = directory.parent().context("the cache is no directory")?;
    fs::create_dir_all(parent)?;
    // Those of other days, and one that was not finished.
    for entry in fs::read_dir(parent)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("root-") {
            fs::remove_dir_all(entry.path()).with_context(|| format!("remove {}", entry.path().display()))?;
        }
    }
    let suite = suite()?;
    let mirror = mirror(&suite)?;
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", "--include", INCLUDED, &suite]).arg(&directory).arg(mirror);
    if env::var_os("http_proxy").is_none()
        && let Some(proxy) = proxy()
    {
        command.env("http_proxy", proxy);
    }
    step::run("debootstrap", &format!("debootstrap {suite}: a clean Debian for the package"), &mut command)?;
    fs::write(directory.join(COMPLETE), "").context("mark the clean root as complete")
}

fn directory() -> Result<PathBuf> {
    let day = step::output(Command::new("date").args(["--utc", "+%F"])).context("no date")?;
    Ok(paths::cache()?.join(format!("root-{}-{day}", suite()?)))
}

/// The release that the agent is built on, and for.
fn suite() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("/etc/os-release has no VERSION_CODENAME")?.trim_matches('"').to_owned())
}

/// Where apt gets the packages of a release.
fn mirror(suite: &str) -> Result<String> {
    let mut targets = Command::new("apt-get");
    targets.args([
        "indextargets",
        "--format",
        "$(CODENAME) $(COMPONENT) $(REPO_URI)",
        "Created-By: Packages",
    ]);
    let targets = step::output(&mut targets).unwrap_or_default();
    let mirror = targets.lines().find_map(|line| line.strip_prefix(&format!("{suite} main ")));
    Ok(mirror.with_context(|| format!("apt knows no repository of {suite}"))?.to_owned())
}

fn proxy() -> Option<String> {
    let mut config = Command::new("apt-config");
    let found = step::output(config.args(["dump", "--format", "%v", "Acquire::http::Proxy"]))?;
    (!found.is_empty() && found != "DIRECT").then_some(found)
}
