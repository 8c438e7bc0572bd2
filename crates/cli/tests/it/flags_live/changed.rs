//! Flags changed by commands, as people and pipelines do.

use super::Scene;
use serde_json::{Value, json};

fn set() -> Value {
    json!({
        "environments": ["production", "staging"],
        "flags": {
            "exec": { "type": "boolean", "owner": "reports" },
            "queue": { "type": "boolean", "prerequisites": [{ "flag": "exec", "variant": "on" }] },
        },
    })
}

impl Scene {
    fn refuses(&self, args: &[&str]) -> String {
        let (code, said, talk) = self.run(args);
        assert_eq!(code, 2, "{args:?}: {said}\n{talk}");
        talk
    }

    fn definition(&self, flag: &str) -> Value {
        self.json(&["flag", "get", flag])["definition"].clone()
    }
}

// FLAG-05, FLAG-09, FLAG-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_by_hand_outlives_the_file() {
    let scene = Scene::start(&set(), &[]);
    let at = ["--environment", "production"];
    let verb = |words: &[&str]| scene.does(&[&["flag"], words, &at].concat());
    for tenant in ["acme", "umbrella"] {
        verb(&["set", "exec", "on", "--tenant", tenant]);
    }
    verb(&["set", "exec", "on"]);
    verb(&["disable", "exec", "--reason", "quiet"]);
    let all = json!({ "default": "on", "state": "disabled",
                      "tenants": { "acme": "on", "umbrella": "on" } });
    // The pipeline that applies its file again undoes nothing.
    let again = scene.json(&["flag", "apply", "flags.json"]);
    assert_eq!(again["changes"], json!([]));
    assert_eq!(scene.definition("exec")["environments"]["production"], all);
    // The first override goes by itself, though another came after it.
    let dry = scene.json(&["flag", "revert", "2", "--dry-run"]);
    assert_eq!(dry["changes"].as_array().map(Vec::len), Some(1), "{dry}");
    scene.does(&["flag", "revert", "2"]);
    let twice = scene.refuses(&["flag", "revert", "2"]);
    assert!(twice.contains("cannot be taken back by itself"), "{twice}");
    for words in [
        &["unset", "exec", "--tenant", "umbrella"][..],
        &["unset", "exec", "--default"],
    ] {
        verb(words);
    }
    verb(&["enable", "exec"]);
    assert_eq!(scene.definition("exec"), set()["flags"]["exec"]);

    // FLAG-15: an export is applied where nobody was faster.
    scene.does(&["flag", "export", "--out", "s.json"]);
    verb(&["set", "queue", "on"]);
    let stale = std::fs::read_to_string(scene.plane.work().join("s.json")).expect("exported");
    let mut stale: Value = serde_json::from_str(&stale).expect("JSON");
    stale["flags"]["queue"]["environments"] = json!({ "production": { "default": "off" } });
    scene.write("s.json", &stale.to_string());
    let refused = scene.refuses(&["flag", "apply", "s.json", "--yes"]);
    assert!(
        refused.contains("at revision 10 made this \"on\""),
        "{refused}"
    );
    assert!(refused.contains("--force"), "{refused}");
    scene.does(&["flag", "apply", "s.json", "--yes", "--force"]);

    let needed = scene.refuses(&["flag", "delete", "exec"]);
    assert!(needed.contains("/flags/queue"), "{needed}");
    scene.does(&["flag", "delete", "queue", "--reason", "done"]);
    // Nobody sits here who could be asked.
    scene.write("less.json", r#"{ "environments": ["production"] }"#);
    let spared = scene.refuses(&["flag", "apply", "less.json", "--replace"]);
    assert!(
        spared.contains("ESC-0750") && spared.contains("exec"),
        "{spared}"
    );
    scene.does(&["flag", "apply", "less.json", "--replace", "--yes"]);
}

// FLAG-01: all that is wrong, each at its line, with a server and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_file_is_told_at_its_lines() {
    let scene = Scene::start(&set(), &[]);
    scene.write(
        "wrong.json",
        "{ \"flags\": {\n  \"a\": { \"type\": \"boolean\", \"descripton\": \"x\" },\n  \"b\": { \"type\": \"bool\" }\n} }\n",
    );
    for verb in ["apply", "lint"] {
        let told = scene.refuses(&["flag", verb, "wrong.json"]);
        assert!(told.contains("wrong.json:2:29: "), "{verb}: {told}");
        assert!(told.contains("wrong.json:3:10: "), "{verb}: {told}");
        assert!(
            told.contains("did you mean \"description\"?"),
            "{verb}: {told}"
        );
    }
    for (text, why) in [
        ("[]", "a set of flags is an object, and this is a list"),
        ("", "the file is empty"),
        ("{\"flags\": {\"a\": {},\n \"a\": {}}}", "twice.json:2:2: "),
    ] {
        scene.write("twice.json", text);
        for verb in ["apply", "lint"] {
            let told = scene.refuses(&["flag", verb, "twice.json"]);
            assert!(told.contains(why), "{verb} {text:?}: {told}");
        }
    }
    let good = scene.json(&["flag", "lint", "flags.json"]);
    assert_eq!(
        (&good["accepted"], &good["flags"]),
        (&json!(true), &json!(2))
    );
}

// BLD-09: a release needs its flag also before anybody has it, and in line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_that_a_release_needs_is_not_deleted() {
    let mut set = set();
    set["flags"]["later"] = json!({ "type": "boolean", "owner": "reports" });
    let scene = Scene::start(&set, &[]);
    scene.does(&["flag", "set", "exec", "on", "--environment", "production"]);
    let turn = |flag: &str| {
        format!(
            "esclusa: 1\nservice: hand\non-conflict: queue\n\
             flags: {{ set: {{ {flag}: on }}, environment: production }}\n\
             judge: {{ blind: {{ then: hold }} }}\nstages: [ {{ to: 5%, for: 1h }} ]\n"
        )
    };
    let under_way = scene.plane.release(&turn("queue"), "queue-on").await;
    let in_line = scene.plane.release(&turn("later"), "later-on").await;
    for (flag, by) in [
        ("queue", format!("release {under_way}")),
        ("later", format!("release {in_line} in line")),
    ] {
        let needed = scene.refuses(&["flag", "delete", flag]);
        assert!(needed.contains(&by), "{flag}: {needed}");
    }
    // Out of the line, nothing needs it.
    scene.does(&["release", "abort", &in_line]);
    scene.does(&["flag", "delete", "later", "--reason", "never came"]);
}
