//! The commands of the README and of CI alike: `cargo xtask <command>`.

mod apt;
mod artifacts;
mod bench;
mod build;
mod cargo_deb;
mod clean_root;
mod deb;
mod demo;
mod doctor;
mod linker;
mod paths;
mod python;
mod setup;
mod step;
mod test;
mod toolchain;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Options),
    Build(build::Options),
    Deb(deb::Options),
    Test(test::Options),
    Demo(demo::Options),
    Doctor(doctor::Options),
    Vm(vm::Options),
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Setup(options) => setup::run(&options),
        Command::Build(options) => build::run(&options),
        Command::Deb(options) => deb::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Vm(options) => vm::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
