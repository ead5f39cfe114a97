//! The Tollgate LLM gateway: command line → settings → build → run → drain. No logic of its own.

mod admin;
mod admin_args;
mod cli;
mod client;
mod commands;
mod load;
mod quickstart;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run(cli::Cli::parse())
}
