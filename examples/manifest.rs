//! Prints the manifest with which LivePerson installs an application.
//!
//! ```sh
//! cargo run --example manifest -- com.example.desk https://desk.example.com/callback \
//!     --display-name "Example Desk" --entry-uri https://desk.example.com/login
//! ```

use std::{env, fmt, process::ExitCode};

use tower_lp_auth::{AppManifest, AppManifestBuilder, ManifestError};

const USAGE: &str = "\
Prints the manifest of an application as JSON: send it to LivePerson to have the application
installed, and get a client id and secret for it.

Usage: manifest CLIENT_NAME REDIRECT_URI... [OPTIONS]

  CLIENT_NAME                  unique at LivePerson, such as com.example.desk (128 characters)
  REDIRECT_URI                 such as https://desk.example.com/callback (128 characters)

Options:
  --display-name NAME          what users see (128 characters)
  --description TEXT           what it is for (256 characters)
  --scope SCOPES               separated by spaces (128 characters)
  --entry-uri URI              where it is launched (1,024 characters)
  --logo-uri URI               a logo of 70 by 70 pixels (1,024 characters)
  --profiles NUMBERS           whose users see it, such as 0,1,2,3
  --quick-launch               users launch it from Conversational Cloud; needs an entry URI and
                               profiles
  --disabled                   it starts out disabled
  --help                       this text";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|it| it == "--help" || it == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match manifest(arguments) {
        Ok(manifest) => {
            println!("{}", manifest.to_json());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}\n\nTry `manifest --help`.");
            ExitCode::from(2)
        }
    }
}

/// What is wrong with the arguments.
#[derive(Debug)]
enum Misuse {
    NoName,
    NoValue(String),
    Unknown(String),
    NotProfiles(String),
    Manifest(ManifestError),
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("the client name is missing, such as com.example.desk"),
            Self::NoValue(option) => write!(f, "{option} needs a value"),
            Self::Unknown(option) => write!(f, "there is no option {option}"),
            Self::NotProfiles(text) => {
                write!(f, "--profiles holds {text:?}: write numbers, such as 0,1,2,3")
            }
            Self::Manifest(error) => error.fmt(f),
        }
    }
}

fn manifest(arguments: Vec<String>) -> Result<AppManifest, Misuse> {
    let mut names = Vec::new();
    let mut options = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick-launch" | "--disabled" => options.push((argument, String::new())),
            option if option.starts_with('-') => {
                let value = arguments.next().ok_or_else(|| Misuse::NoValue(argument.clone()))?;
                options.push((argument, value));
            }
            _ => names.push(argument),
        }
    }
    let mut names = names.into_iter();
    let client_name = names.next().ok_or(Misuse::NoName)?;
    let builder = options
        .into_iter()
        .try_fold(AppManifest::builder(client_name, names), |builder, (option, value)| {
            set(builder, option, value)
        })?;
    builder.build().map_err(Misuse::Manifest)
}

fn set(
    builder: AppManifestBuilder,
    option: String,
    value: String,
) -> Result<AppManifestBuilder, Misuse> {
    Ok(match option.as_str() {
        "--display-name" => builder.display_name(value),
        "--description" => builder.description(value),
        "--scope" => builder.scope(value),
        "--entry-uri" => builder.entry_uri(value),
        "--logo-uri" => builder.logo_uri(value),
        "--profiles" => {
            let profiles: Result<Vec<u32>, _> =
                value.split(',').map(|number| number.trim().parse()).collect();
            builder.enabled_for_profiles(profiles.map_err(|_| Misuse::NotProfiles(value))?)
        }
        "--quick-launch" => builder.quick_launch_enabled(true),
        "--disabled" => builder.enabled(false),
        _ => return Err(Misuse::Unknown(option)),
    })
}
