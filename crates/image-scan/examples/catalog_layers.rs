//! Catalogs the layer files of one image, the lowest first, and says how fast: `catalog_layers [--json] <file>…`.
//!
//! The compression is taken from the name (`.gz`, `.zst`, else plain). `--json` prints the components one per line.

use std::fs::File;
use std::io::Read as _;
use std::time::Instant;

use image_scan::archive::{LayerCompression, LayerLimits, LayerPass};
use image_scan::catalog::LayerCatalog;
use image_scan::merge::merge;
use registry_types::digest::Digest;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (options, files): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let mut layers = Vec::new();
    for file in &files {
        layers.push((Digest::sha256_of(file.as_bytes()), catalog(file)?));
    }
    let image = merge(&layers);
    if options.iter().any(|option| option == "--json") {
        for component in &image.components {
            println!("{}", serde_json::to_string(component)?);
        }
    }
    eprintln!("{} components of {:?}", image.components.len(), image.distribution);
    image.incomplete.iter().for_each(|incomplete| eprintln!("incomplete: {incomplete:?}"));
    image.secrets.iter().for_each(|secret| eprintln!("secret: {:?}", secret.finding));
    Ok(())
}

fn catalog(path: &str) -> Result<LayerCatalog, Box<dyn std::error::Error>> {
    let compression = match path.rsplit('.').next() {
        Some("gz") => LayerCompression::Gzip,
        Some("zst") => LayerCompression::Zstd,
        _ => LayerCompression::Plain,
    };
    let mut file = File::open(path)?;
    let mut pass = LayerPass::new(compression, LayerLimits::default());
    let mut buffer = vec![0; 64 * 1024];
    let mut packed = 0_u64;
    let start = Instant::now();
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        packed += length as u64;
        pass.write(&buffer[..length]).map_err(|error| format!("{}: {error}", error.code()))?;
    }
    let catalog = pass.finish().map_err(|error| format!("{}: {error}", error.code()))?;
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = |bytes: u64| bytes as f64 / seconds / 1e6;
    eprintln!(
        "{} entries, {packed} bytes packed, {} unpacked, in {seconds:.2} s: {:.0} and {:.0} MB/s; {} paths kept, {:?}",
        catalog.entries,
        catalog.unpacked_bytes,
        rate(packed),
        rate(catalog.unpacked_bytes),
        catalog.tracked.len(),
        catalog.secret_search,
    );
    Ok(catalog)
}
