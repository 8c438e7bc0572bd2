//! Flags as applications meet them: the real control plane, the proxy that it starts, and
//! released clients that were not made for it.

mod changed;
mod clients;
mod doubted;
mod emergency;
mod exec_reports;
mod killed;
mod looked;
mod said;
mod testers;

use super::told;
use super::world::esclusa;
use esclusa_testkit::plane::ControlPlane;
use esclusa_testkit::ports;
use serde_json::Value;
use std::process::Command;

/// A control plane whose proxy answers flags, with these in its set.
struct Scene {
    plane: ControlPlane,
    /// Where flags are answered.
    port: u16,
}

impl Scene {
    fn start(flags: &Value, files: &[(&str, &str)]) -> Self {
        let port = ports::free_port().expect("a port");
        let plane = ControlPlane::with_flags(esclusa(), port, files);
        let scene = Self { plane, port };
        std::fs::write(scene.plane.work().join("flags.json"), flags.to_string()).expect("written");
        scene.does(&["flag", "apply", "flags.json", "--yes", "--reason", "first"]);
        scene
    }

    /// The command beside the data folder, as somebody on this machine runs it.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(esclusa());
        command
            .args(args)
            .current_dir(self.plane.work())
            .env("ESCLUSA_DATA", self.plane.data())
            .env_remove("ESCLUSA_SERVER");
        told(&tokio::task::block_in_place(|| command.output()).expect("runs"))
    }

    /// A file in the folder that commands are run in.
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.plane.work().join(name), text).expect("written");
    }

    /// A command that must do what it is asked; what it says.
    fn does(&self, args: &[&str]) -> String {
        let (code, said, talk) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {said}\n{talk}\n{}", self.plane.log());
        said
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.does(&[args, &["--json"]].concat());
        serde_json::from_str(&said).expect("JSON")
    }

    /// How many tenants of the directory get each variant.
    fn counts(&self, flag: &str) -> Vec<(String, u64)> {
        let found = self.json(&["flag", "who", flag, "--environment", "production"]);
        let variants = found["variants"].as_array().expect("variants");
        let count = |one: &Value| {
            let name = one["variant"].as_str().expect("a name").to_owned();
            let tenants = one["tenants"].as_array().map_or(0, Vec::len);
            (name, tenants as u64)
        };
        variants.iter().map(count).collect()
    }
}
