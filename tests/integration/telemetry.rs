//! What an operator sees of a worker.

use std::net::SocketAddr;

use serde_json::json;
use store_tests::image::Image;
use store_tests::process::free_port;
use store_tests::registry::Registry;
use store_tests::store::{Store, module_manifest};
use store_tests::wait;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_tells_of_its_steps_layers_verdicts_and_queue() {
    let mut store = Store::start_without_worker().await;
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    store.start_worker_with(|settings| settings.metrics_listen = Some(listen));
    let registry = Registry::start().await;
    let acme = store.organization("acme").await;
    store.allow(&acme, &registry.address, "acme").await;
    for version in ["1.0.0", "1.0.1"] {
        let manifest = module_manifest("ranker", version);
        let image = Image::new().debian_12().layer().hla_module(&manifest);
        let image = image.push(&registry.address, "acme/ranker", version).await;
        let intake = acme.intake(&manifest, &image.reference).await;
        assert_eq!(intake["outcome"], json!("active"), "{intake:#}");
    }
    // A step is counted after what it did can be seen.
    let text = wait::until("both decisions to be counted", async || {
        let text = reqwest::get(format!("http://{listen}/metrics")).await.unwrap().text().await.unwrap();
        let counted = r#"intake_worker_step_duration_seconds_count{step="decide",outcome="done"} 2"#;
        text.contains(counted).then_some(text)
    })
    .await;
    for line in [
        r#"intake_worker_step_duration_seconds_count{step="resolve",outcome="done"} 2"#,
        r#"intake_worker_step_duration_seconds_count{step="transfer",outcome="done"} 2"#,
        r#"intake_worker_step_duration_seconds_count{step="manifest",outcome="done"} 2"#,
        r#"intake_worker_step_duration_seconds_count{step="ui",outcome="done"} 2"#,
        r#"intake_worker_step_duration_seconds_count{step="policy",outcome="done"} 2"#,
        r#"intake_worker_step_duration_seconds_count{step="decide",outcome="done"} 2"#,
        // The base is read once, the modules' own layers each.
        r#"intake_worker_layers_total{from="read"} 3"#,
        r#"intake_worker_layers_total{from="reused"} 1"#,
        r#"intake_worker_decisions_total{decision="active"} 2"#,
        r#"intake_worker_waiting_jobs{kind="intake"} 0"#,
        r#"intake_worker_oldest_job_seconds{kind="intake"} 0"#,
    ] {
        assert!(text.lines().any(|had| had.trim_end_matches(".0") == line), "{line} is not in\n{text}");
    }
}
