//! A receiver outside the store, on the independent library `standardwebhooks` (PyPI), installed by
//! `tests/interop/install-tools.sh`.

use std::path::Path;

use serde_json::{Value, json};
use store_tests::object_server::interop_tool;
use store_tests::process::{self, ChildProcess};
use store_tests::store::text;
use store_tests::wait;

use super::scene::{BASE, Scene, errors};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_an_independent_standard_webhooks_library_verifies_deliveries() {
    let Some(python) = interop_tool("standardwebhooks-python") else { return };
    let scene = Scene::set_with(|settings| settings.webhooks.retry_seconds = Vec::new()).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/webhooks/receiver.py");
    let folder = scene.store.folder();
    let (secret, received) = (folder.join("secret"), folder.join("received"));
    let (_receiver, port) = process::start_listening(&folder.join("receiver.log"), |port| {
        let port = port.to_string();
        let arguments = [&script, Path::new(&port), &secret, &received].map(|argument| argument.to_str().unwrap());
        ChildProcess::start(&python, &arguments, std::iter::empty::<(String, String)>(), &folder.join("receiver.log"))
    })
    .await;
    let hook = scene.listen(&format!("http://127.0.0.1:{port}/")).await;
    std::fs::write(&secret, &hook.secret).unwrap();
    scene.happen("acme").await;
    scene.newest(&hook.id, "delivered").await;

    // By either secret of a rotation, and by no other.
    let rotate = format!("{BASE}/{}/rotate-secret", hook.id);
    let rotated = scene.acme.admin.post(&rotate, json!({})).await.expect(200);
    scene.happen("by-the-old").await;
    wait::until("two deliveries", async || (lines(&received).len() == 2).then_some(())).await;
    std::fs::write(&secret, text(&rotated["secret"])).unwrap();
    scene.happen("by-the-new").await;
    wait::until("three deliveries", async || (lines(&received).len() == 3).then_some(())).await;
    std::fs::write(&secret, "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgMzIgYnl0ZXM=").unwrap();
    scene.happen("by-another").await;
    let refused = scene.newest(&hook.id, "failed").await;
    assert_eq!((errors(&refused), &refused["attempts"][0]["status"]), (vec!["STATUS".to_owned()], &json!(400)));

    let lines = lines(&received);
    let verified: Vec<_> = lines.iter().map(|line| line["verified"].as_bool().unwrap()).collect();
    assert_eq!(verified, [true, true, true, false]);
    assert_eq!(lines[0]["event"]["type"], "company-store.registry.created.v1");
    assert_eq!(lines[0]["event"]["id"], lines[0]["id"]);
}

fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
