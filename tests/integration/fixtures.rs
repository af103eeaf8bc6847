//! What the other tests rest on: the registries and images made here are real to a tool that knows nothing of them.

use std::process::Command;

use store_tests::image::{Image, PushedImage, push_index};
use store_tests::registry::{DockerRegistry, Login, Registry, RegistryAddress};

/// Copies the image with skopeo, which checks every digest and decompresses every layer.
fn skopeo_copies(image: &PushedImage, login: Option<&Login>) -> bool {
    let target = tempfile::tempdir().unwrap();
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--insecure-policy", "--quiet", "--src-tls-verify=false", "--multi-arch=all"]);
    if let Some(login) = login {
        skopeo.args(["--src-creds", &format!("{}:{}", login.username, login.password)]);
    }
    skopeo.arg(format!("docker://{}", image.reference)).arg(format!("oci:{}", target.path().display()));
    let output = skopeo.output().expect("skopeo is installed");
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

async fn push_one_of_each(registry: &RegistryAddress) -> [PushedImage; 2] {
    let image = Image::new()
        .debian_12()
        .layer()
        .wheel("Jinja2", "3.1.6")
        .ballast("app/data", 1, 100_000)
        .zstd_layer()
        .whiteout("app/data")
        .symlink("app/link", "/etc/os-release");
    let single = image.push(registry, "acme/single", "1.0.0").await;
    let platforms = [image.build(), image.for_architecture("arm64").build()];
    [single, push_index(&platforms, registry, "acme/platforms", "1.0.0").await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_reads_what_was_pushed_to_the_registry_in_process() {
    let registry = Registry::start_private().await;
    for image in push_one_of_each(&registry.address).await {
        registry.forget_requests();
        assert!(skopeo_copies(&image, registry.address.login.as_ref()));
        assert!(registry.blob_bytes_read() > 0 && registry.blob_bytes_read() <= image.source_bytes);
        assert!(!skopeo_copies(&image, None), "a private registry let anybody in");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_reads_what_was_pushed_to_docker_registry() {
    let registry = DockerRegistry::start_private().await;
    for image in push_one_of_each(&registry.address).await {
        assert!(skopeo_copies(&image, registry.address.login.as_ref()));
        assert!(!skopeo_copies(&image, None), "a private registry let anybody in");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_blob_waits_in_the_middle() {
    let registry = Registry::start().await;
    let image = Image::new().ballast("app/data", 2, 50_000).build();
    image.push(&registry.address, "acme/app", "1").await;
    let layer = &image.layers[0];
    let mut hold = registry.hold(&layer.digest.to_string());
    let url = format!("http://{}/v2/acme/app/blobs/{}", registry.address.host, layer.digest);
    let reader = tokio::spawn(async move { reqwest::get(url).await.unwrap().bytes().await.unwrap() });
    hold.reached(1).await;
    assert!(!reader.is_finished());
    assert_eq!(registry.blob_bytes_read(), layer.bytes.len() as u64 / 2);
    hold.release();
    assert_eq!(reader.await.unwrap(), layer.bytes);
    assert_eq!(registry.blob_bytes_read(), layer.bytes.len() as u64);
}
