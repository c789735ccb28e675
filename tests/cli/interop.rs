//! Policies in the words of others, and back: what goes to a file, what is said, and what is refused.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::banchi;

const POLICY: &str = "../examples/same-port-bacnet.yaml";
const DRIVE: &str = "../agent/tests/mud/drive.json";

#[test]
fn a_ruleset_goes_to_a_file_and_its_losses_are_said() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("banchi.nft");
    let path = path.to_str().context("a path")?;
    let output = banchi(&["export", "nftables", "--policy", POLICY, "-o", path, "--json"])?;
    ensure!(output.status.success(), "{output}");
    let said: Value = serde_json::from_str(&output.stdout)?;
    let payload = said["losses"].as_array().into_iter().flatten().find(|loss| loss["code"] == "payload");
    let payload = payload.with_context(|| output.stdout.clone())?;
    ensure!(
        payload["effect"] == "passes-more" && payload["rules"][0] == "bms > controllers : bacnet",
        "{payload:#}"
    );
    ensure!(payload["reasons"][0] == "reversed-direction", "{payload:#}");
    let ruleset = std::fs::read_to_string(path)?;
    ensure!(
        ruleset.contains(r#"comment "bms > controllers : bacnet""#) && ruleset.contains("# payload"),
        "{ruleset}"
    );
    // Without a file the ruleset is the output, and nothing else is.
    let output = banchi(&["export", "nftables", "--policy", POLICY])?;
    ensure!(output.stdout == ruleset && output.stderr.contains("payload (passes more)"), "{output}");
    Ok(())
}

#[test]
fn a_description_becomes_a_draft_that_is_checked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (draft, hosts) = (folder.path().join("draft.yaml"), folder.path().join("hosts.csv"));
    std::fs::write(
        &hosts,
        "name;address;zone;mac\ndrive-1;10.20.0.11;line;00:80:f4:0a:0b:0c\nscada;10.10.1.5;control;\n",
    )?;
    let (draft, hosts) = (draft.to_str().context("a path")?, hosts.to_str().context("a path")?);
    let import = ["import", "mud", DRIVE, "--assets", hosts, "-o", draft, "--map", "device=drive-1"];
    let output = banchi(&[&import[..], &["--map", "my-controller=scada"]].concat())?;
    ensure!(output.status.success() && output.stdout.contains("unmapped (vfd-from/log)"), "{output}");
    let output = banchi(&["check", draft])?;
    ensure!(output.status.success(), "{output}");
    let asset = "VFD-7-drive";
    let output = banchi(&["export", "mud", "--policy", draft, "--asset", "drive-1"])?;
    ensure!(output.status.success(), "{asset}: {output}");
    let file: Value = serde_json::from_str(&output.stdout)?;
    ensure!(file["ietf-mud:mud"]["mud-version"] == 1, "{file:#}");
    ensure!(output.stderr.contains("window ("), "{output}");

    let refused = |arguments: &[&str], code: i32, words: &str| -> Result<()> {
        let output = banchi(arguments)?;
        ensure!(
            output.status.code() == Some(code) && output.stderr.contains(words),
            "{arguments:?}: {output}"
        );
        Ok(())
    };
    refused(&["export", "mud", "--policy", draft, "--asset", "nobody"], 2, "drive-1")?;
    refused(&["import", "mud", DRIVE, "--map", "device"], 2, "NAME=HOSTS")?;
    refused(&["import", "mud", DRIVE], 1, "--map 'https://mud.drives.example/vfd-7=ADDRESS'")?;
    refused(&["import", "mud", hosts, "--map", "device=10.20.0.11"], 1, "hosts.csv")?;

    let section = folder.path().join("assets.yaml");
    let section = section.to_str().context("a path")?;
    let output = banchi(&["import", "assets", hosts, "-o", section, "--json"])?;
    let said: Value = serde_json::from_str(&output.stdout)?;
    ensure!(said["assets"] == 2 && said["zones"]["line"] == 1, "{output}");
    let text = std::fs::read_to_string(section)?;
    ensure!(
        text.contains(r#"drive-1: { zone: line, address: "10.20.0.11", mac: "00:80:f4:0a:0b:0c" }"#),
        "{text}"
    );
    Ok(())
}
